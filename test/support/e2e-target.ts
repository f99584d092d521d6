// What the end-to-end suite runs against: with an emulator of AWS, serverless.yml is deployed there (emulator-gaps.ts says which it is).
import { type DeployedStack, startDeployedStack } from '../../dev/emulators/deployed-stack.ts';
import type { SimulatorOptions } from '../../dev/simulator/server.ts';
import { type StackDescription, type StackOptions, startStack } from '../../dev/stack/stack.ts';
import { emulatorEndpoint as endpoint, type TargetName, targetName } from './emulator-gaps.ts';

export interface Target extends StackDescription {
  name: TargetName;
  tokenFor: DeployedStack['tokenFor'];
  stop(): Promise<void>;
  /** Of a deployed stack only. */
  deployed?: DeployedStack;
}

export const openTarget = async (
  simulator: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal'>,
  settings: Pick<StackOptions, 'approvalAbove'> = {},
): Promise<Target> => {
  if (endpoint === undefined) return { ...(await startStack({ isBuilt: true, simulator, ...settings })), name: targetName };
  const deployed = await startDeployedStack({ endpoint, simulator, ...settings });
  return { ...deployed, deployed, name: targetName };
};
