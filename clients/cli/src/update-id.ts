import { UsageError } from './exit-codes.ts';

/** `17`, as commands and pages show it: `#17` does as well. */
export const updateIdOf = (text: string): number => {
  const [, digits] = /^#?(\d{1,15})$/.exec(text) ?? [];
  if (digits === undefined) throw new UsageError(`${text} is no id of an update: see scu update list`);
  return Number(digits);
};
