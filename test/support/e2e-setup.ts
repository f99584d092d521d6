import { stop as stopBundler } from 'esbuild';
import { build } from '../../ops/build.ts';

/** Builds the functions once for all stacks of a run (`isBuilt`): it takes more processor time than all the rest of a stack's start. */
export default async function setup(): Promise<void> {
  await build();
  await stopBundler();
}
