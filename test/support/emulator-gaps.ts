// Which emulator of AWS the tests of this run are for, and what it does not do as AWS does. E2E_ENDPOINT is its base address; without one it
// is serverless-offline with the embedded S3 and SQS.
import { it } from 'vitest';

export type TargetName = 'serverless-offline' | 'ministack' | 'localstack';

/** What an emulator does not do as AWS does; a case that needs it is skipped by this name. */
export const gaps = {
  'no IAM': { targets: ['serverless-offline', 'localstack'], why: 'permissions are not evaluated' },
  'no Secrets Manager': { targets: ['serverless-offline'], why: 'functions on a laptop get the values themselves' },
  'no emulator': { targets: ['serverless-offline'], why: 'S3 and SQS are the embedded ones' },
  'no deploy': { targets: ['serverless-offline'], why: 'serverless-offline runs what lies in the folder' },
  'no gateway responses': { targets: ['serverless-offline', 'localstack'], why: 'refusals of the gateway itself have their own form' },
  'no expiry of links': { targets: ['localstack'], why: 'it measures the expiry by its own clock at the time of signing' },
  'no address of the API': {
    targets: ['ministack', 'localstack'],
    why: 'it serves the API below a path that functions are not told, so that their links do not lead back to it',
  },
  'no end': { targets: ['ministack', 'localstack'], why: 'it cannot be stopped, other tests are under way on it' },
} as const satisfies Record<string, { targets: readonly TargetName[]; why: string }>;

export const emulatorEndpoint = process.env['E2E_ENDPOINT'];

/** By what an emulator says of itself. */
const nameOf = async (address: string): Promise<TargetName> => {
  const answer = await fetch(`${address}/_localstack/health`).catch(() => undefined);
  if (!answer?.ok) throw new Error(`E2E_ENDPOINT=${address} does not answer`);
  return (await fetch(`${address}/_ministack/health`)).ok ? 'ministack' : 'localstack';
};

export const targetName: TargetName = emulatorEndpoint === undefined ? 'serverless-offline' : await nameOf(emulatorEndpoint);

/** Whether a case has to be skipped, and by which words. */
export const hasGap = (gap: keyof typeof gaps): boolean => (gaps[gap].targets as readonly TargetName[]).includes(targetName);

/** A case that is skipped, with the reason in its name, where the emulator has a gap. */
export const unless = (gap: keyof typeof gaps, name: string, work: () => Promise<void>, timeout?: number) =>
  hasGap(gap) ? it.skip(`${name} [${targetName}: ${gap}, ${gaps[gap].why}]`, work) : it(name, work, timeout);
