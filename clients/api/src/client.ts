import * as generated from './generated.ts';
import type { Connection, RequestOptions } from './request.ts';

type Generated = typeof generated;
/** Beside each operation stands a function that makes its address, which nobody needs to see. */
type OperationName = Exclude<keyof Generated, `get${string}Url`>;

/** Every operation of the API by its `operationId`: path parameters first, then query, body and headers. */
export type Client = { [Name in OperationName]: Generated[Name] } & { connection: Connection };

/**
 * A client of one service.
 *
 * @example
 * const client = createClient({ url: 'https://updates.example.com/prod', token });
 * const { items } = await client.listFirmwares({ hardware_type: 'vega_mcu' });
 */
export const createClient = (connection: Connection): Client => {
  const operations = Object.entries(generated)
    .filter(([name]) => !/^get.+Url$/.test(name))
    .map(([name, operation]) => [name, withConnection(operation as Operation, connection)]);
  return { ...Object.fromEntries(operations), connection } as Client;
};

type Operation = (...parameters: never[]) => Promise<unknown>;

/** Every operation takes the options of its request as its last parameter. */
const withConnection =
  (operation: Operation, connection: Connection) =>
  (...parameters: unknown[]): Promise<unknown> => {
    const last = operation.length - 1;
    const options: RequestOptions = { ...(parameters[last] as RequestOptions | undefined), connection };
    const others = Array.from({ length: last }, (_, i) => parameters[i]);
    return operation(...([...others, options] as never[]));
  };
