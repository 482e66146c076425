/** What a terminal offers to read keys one by one. */
interface KeyInput {
  isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  on(event: 'data', listener: (data: Buffer | string) => void): unknown;
  off(event: 'data', listener: (data: Buffer | string) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** Reads a line that is not shown; null when the input is no terminal, where it could not be hidden. */
export function secretReader(
  input: KeyInput,
  output: { write(text: string): unknown },
): ((prompt: string) => Promise<string>) | null {
  if (input.isTTY !== true || !input.setRawMode) return null;
  return (prompt) =>
    new Promise((resolve, reject) => {
      let typed = '';
      const end = (): void => {
        input.off('data', onData);
        input.setRawMode?.(false);
        input.pause();
        output.write('\n');
      };
      const onData = (data: Buffer | string): void => {
        for (const character of data.toString()) {
          if (character === '\r' || character === '\n') {
            end();
            return resolve(typed);
          }
          if (character === '\u0003' || character === '\u0004') {
            end();
            // Raw mode keeps the terminal from sending the signal itself.
            process.kill(process.pid, 'SIGINT');
            return reject(new Error('interrupted'));
          }
          if (character === '\u007f' || character === '\b') typed = [...typed].slice(0, -1).join('');
          else if (character >= ' ') typed += character;
        }
      };
      output.write(prompt);
      input.setRawMode?.(true);
      input.on('data', onData);
      input.resume();
    });
}
