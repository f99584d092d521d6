// What the end-to-end suite runs against, chosen by E2E_ENDPOINT, the base address of an emulator of AWS: serverless.yml is deployed there.
// Without one it is serverless-offline with the embedded S3 and SQS.
import { type DeployedStack, startDeployedStack } from '../../dev/deployed-stack.ts';
import type { SimulatorOptions } from '../../dev/simulator/server.ts';
import { type StackDescription, startStack } from '../../dev/stack.ts';

export type TargetName = 'serverless-offline' | 'ministack' | 'localstack';

/** What an emulator does not do as AWS does; a case that needs it is skipped by this name. */
export const gaps = {
  'no IAM': { targets: ['serverless-offline', 'localstack'], why: 'permissions are not evaluated' },
  'no Secrets Manager': { targets: ['serverless-offline'], why: 'functions on a laptop get the values themselves' },
  'no gateway responses': { targets: ['serverless-offline', 'localstack'], why: 'refusals of the gateway itself have its own form' },
  'no expiry of links': { targets: ['localstack'], why: 'it measures the expiry by its own clock at the time of signing' },
} as const satisfies Record<string, { targets: readonly TargetName[]; why: string }>;

export interface Target extends StackDescription {
  name: TargetName;
  tokenFor: DeployedStack['tokenFor'];
  stop(): Promise<void>;
  /** Of a deployed stack only. */
  deployed?: DeployedStack;
}

const endpoint = process.env['E2E_ENDPOINT'];

/** By what an emulator says of itself. */
const nameOf = async (address: string): Promise<TargetName> => {
  const answer = await fetch(`${address}/_localstack/health`).catch(() => undefined);
  if (!answer?.ok) throw new Error(`E2E_ENDPOINT=${address} does not answer`);
  return (await fetch(`${address}/_ministack/health`)).ok ? 'ministack' : 'localstack';
};

export const targetName: TargetName = endpoint === undefined ? 'serverless-offline' : await nameOf(endpoint);

/** Whether a case has to be skipped, and by which words. */
export const hasGap = (gap: keyof typeof gaps): boolean => (gaps[gap].targets as readonly TargetName[]).includes(targetName);

export const openTarget = async (simulator: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal'>): Promise<Target> => {
  if (endpoint === undefined) return { ...(await startStack({ simulator })), name: targetName };
  const deployed = await startDeployedStack({ endpoint, simulator });
  return { ...deployed, deployed, name: targetName };
};
