// A relay in front of PostgreSQL that reads along what a function sends: statements, their values, and round trips.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';

/** A statement that was sent, with its values. */
export interface Sent {
  statement: string;
  parameters: readonly unknown[];
}

export interface Wire {
  /** The same database, through the relay. */
  url: string;
  /** Statements since the last look. A statement that is sent while the answer to another one is awaited makes no round trip of its own. */
  take(): { sent: Sent[]; trips: number };
  close(): Promise<void>;
}

export async function startWire(databaseUrl: string): Promise<Wire> {
  let sent: Sent[] = [];
  let trips = 0;
  const target = new URL(databaseUrl);
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).on('error', () => {});
    }
    const statements = new Map<string, string>();
    let bound: Sent | undefined;
    /** Batches that the server has not said to be done with. */
    let awaited = 0;
    const begin = () => {
      if (awaited === 0) trips += 1;
      awaited += 1;
    };
    const ofClient = readMessages(true, (type, body) => {
      if (type === 'P') {
        const [name, statement] = [textAt(body, 0), textAt(body, body.indexOf(0) + 1)];
        statements.set(name, statement);
      } else if (type === 'B') bound = readBind(body, statements);
      else if (type === 'E' && bound) sent.push(bound);
      else if (type === 'Q') sent.push({ statement: textAt(body, 0), parameters: [] });
      if (type === 'S' || type === 'Q') begin();
    });
    const ofServer = readMessages(false, (type) => {
      if (type === 'Z' && awaited > 0) awaited -= 1;
    });
    client.on('data', (chunk: Buffer) => {
      ofClient(chunk);
      upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      ofServer(chunk);
      client.write(chunk);
    });
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    take() {
      const taken = { sent, trips };
      sent = [];
      trips = 0;
      return taken;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Cuts a stream of the protocol into messages. The first one of a client has no type. */
function readMessages(isClient: boolean, onMessage: (type: string, body: Buffer) => void): (chunk: Buffer) => void {
  let rest = Buffer.alloc(0);
  let isFirst = isClient;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      const header = isFirst ? 0 : 1;
      if (rest.length < header + 4) return;
      const end = header + rest.readInt32BE(header);
      if (rest.length < end) return;
      if (!isFirst) onMessage(String.fromCharCode(rest[0] as number), rest.subarray(5, end));
      isFirst = false;
      rest = rest.subarray(end);
    }
  };
}

const textAt = (body: Buffer, from: number): string => body.toString('utf8', from, body.indexOf(0, from));

/** Values as text; what is sent as bytes is shown as PostgreSQL writes it. */
function readBind(body: Buffer, statements: ReadonlyMap<string, string>): Sent {
  let at = body.indexOf(0) + 1;
  const statement = statements.get(textAt(body, at)) ?? '';
  at = body.indexOf(0, at) + 1;
  const formats = Array.from({ length: body.readInt16BE(at) }, (_, i) => body.readInt16BE(at + 2 + 2 * i));
  at += 2 + 2 * formats.length;
  const count = body.readInt16BE(at);
  at += 2;
  const parameters = Array.from({ length: count }, (_, i) => {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) return null;
    const value = body.subarray(at, at + length);
    at += length;
    const format = formats.length === 1 ? formats[0] : formats[i];
    return format === 1 ? `\\x${value.toString('hex')}` : value.toString('utf8');
  });
  return { statement, parameters };
}
