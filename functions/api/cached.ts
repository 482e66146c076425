const keepMilliseconds = 5_000;
const keepEntries = 10_000;

/** Answers to the same question for some seconds; those who ask while it is being answered wait for the one answer. */
export function cached<Key, T>(ask: (key: Key) => Promise<T>): (key: Key) => Promise<T> {
  const answers = new Map<Key, { until: number; answer: Promise<T> }>();
  return (key) => {
    const now = Date.now();
    const known = answers.get(key);
    if (known && known.until > now) return known.answer;
    if (answers.size >= keepEntries) answers.clear();
    const answer = ask(key);
    answers.set(key, { until: now + keepMilliseconds, answer });
    answer.catch(() => answers.delete(key));
    return answer;
  };
}
