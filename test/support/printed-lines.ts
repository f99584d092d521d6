import { onTestFinished, vi } from 'vitest';

/** From here to the end of the test: the lines that logs and metrics print, which are JSON. */
export const catchPrintedLines = (): Record<string, unknown>[] => {
  const lines: Record<string, unknown>[] = [];
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, 'write').mockImplementation((line) => {
      lines.push(JSON.parse(String(line)) as Record<string, unknown>);
      return true;
    }),
  );
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return lines;
};
