/** Asks for what comes next while what came before is looked at: at most so many questions at a time, answers in order. */
export async function* ahead<T, R>(
  items: readonly T[],
  most: number,
  ask: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const asked: Promise<R>[] = [];
  for (let next = 0; next < items.length || asked.length > 0;) {
    for (const item of items.slice(next, next + most - asked.length)) {
      const answer = ask(item);
      // Whoever waits for it hears of it; until then it is not one that nobody caught.
      answer.catch(() => undefined);
      asked.push(answer);
      next += 1;
    }
    const first = asked.shift();
    if (first) yield await first;
  }
}
