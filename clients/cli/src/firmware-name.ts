import { all, type Client, type FirmwareListItem } from '../../api/src/index.ts';
import { CommandError, UsageError } from './exit-codes.ts';

export const firmwareNameHelp = 'its id, or hardware type and version: vega_mcu@1.5.0';

/** The id of a firmware that a person has named: `17` or `vega_mcu@1.5.0`. */
export const firmwareIdOf = async (client: Client, name: string): Promise<number> =>
  /^\d+$/.test(name) ? Number(name) : (await findFirmware(client, name)).id;

const findFirmware = async (client: Client, name: string): Promise<FirmwareListItem> => {
  const at = name.indexOf('@');
  if (at < 1 || at === name.length - 1) throw new UsageError(`${name} names no firmware: say ${firmwareNameHelp}`);
  const [hardware_type, version] = [name.slice(0, at), name.slice(at + 1)];
  const list = (page: { limit: number }) => client.listFirmwares({ hardware_type, version, links: false, ...page });
  for await (const firmware of all(list)) if (firmware.status !== 'rejected') return firmware as FirmwareListItem;
  throw new CommandError(`There is no firmware ${hardware_type} ${version}. See: scu firmware list --type ${hardware_type}`);
};
