// PostgreSQL refuses to run as root. If this process is root (containers, CI), PostgreSQL runs as another account.
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

export interface Account {
  uid: number;
  gid: number;
  /** The clone lies in a folder that only root may enter, such as /root. */
  needsToPassFolders: boolean;
}

export type Run = (program: string, parameters: string[], options: SpawnOptions) => ChildProcess;

/** The owner of the data; for new data the account `postgres`, or else `nobody`. No account is created. Undefined: this process is not root. */
export async function accountFor(paths: { data: string; directory: string; program: string }): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = existsSync(paths.data) ? statSync(paths.data) : undefined;
  const { uid, gid } =
    owner && owner.uid !== 0 ? owner : (findAccount('postgres') ?? findAccount('nobody') ?? { uid: 65_534, gid: 65_534 });
  for (const needsToPassFolders of [false, true]) {
    const account = { uid, gid, needsToPassFolders };
    // access() is what PostgreSQL's own programs look for each other with.
    const [program, ...parameters] = commandAs(account, process.execPath, ['--eval', ACCESS_BOTH, paths.program, paths.directory]);
    const { status } = spawnSync(program as string, parameters, { ...identity(account), cwd: '/', stdio: 'ignore' });
    if (status === 0) return account;
  }
  throw new Error(
    `You are root, and PostgreSQL must not be: it runs as user ${uid}, who cannot enter ${paths.directory} or ${paths.program}. ` +
      'Move the clone to a folder that everybody may enter (chmod o+x on its parents), or run as a normal user.',
  );
}

const ACCESS_BOTH = 'for (const path of process.argv.slice(1)) fs.accessSync(path, fs.constants.X_OK)';

export const runAs =
  (account: Account | undefined): Run =>
  (program, parameters, options) => {
    const [first, ...rest] = commandAs(account, program, parameters);
    return spawn(first as string, rest, { ...identity(account), cwd: '/', ...options });
  };

const identity = (account: Account | undefined) => (account && !account.needsToPassFolders ? { uid: account.uid, gid: account.gid } : {});

/**
 * `setpriv` (util-linux) gives up root, but keeps the one capability that is needed to pass through /root. access() checks for the real user and
 * would drop this capability for the check; NO_SETUID_FIXUP prevents that, because with it capabilities do not depend on the user.
 */
const commandAs = (account: Account | undefined, program: string, parameters: string[]): string[] =>
  account?.needsToPassFolders
    ? [
        ...['setpriv', `--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'],
        ...['--inh-caps=+dac_override', '--ambient-caps=+dac_override', '--securebits=+no_setuid_fixup', '--', program, ...parameters],
      ]
    : [program, ...parameters];

function findAccount(name: string): { uid: number; gid: number } | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
}
