import { dirname, join } from 'node:path';
import { readJson } from './private-file.ts';

/** What `npm start` of the service's repository tells of the stack that it runs. */
export interface LocalStack {
  api_url: string;
  token: string;
  issuer?: string;
  pid: number;
}

/** The stack that runs in this folder or in one above it. */
export const findLocalStack = (directory = process.cwd()): LocalStack | undefined => {
  const stack = readJson<LocalStack>(join(directory, '.local', 'stack.json'));
  if (stack && isAlive(stack.pid)) return stack;
  const parent = dirname(directory);
  return parent === directory ? undefined : findLocalStack(parent);
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};
