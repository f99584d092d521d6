import type { Command } from 'commander';
import { request } from '../../../api/src/index.ts';
import { action, addCommand, collected } from '../command.ts';
import { UsageError } from '../exit-codes.ts';
import { readText } from '../input.ts';

interface ApiOptions {
  data?: string;
  header?: string[];
}

/** `scu api`: any operation of the API, for what has no command. */
export const addApiCommand = (program: Command): void => {
  addCommand(program, 'api <method> <path>', {
    summary: 'any operation of the API; answers what the service answers',
    details: 'The address of the service with /docs at its end describes all operations.',
    examples: [
      'scu api GET "/v1/firmwares?limit=5"',
      `scu api PATCH /v1/firmwares/17 --data '{"comment": "fixes the lock"}'`,
      'scu api POST /v1/devices/lookup --data @ids.json',
    ],
  })
    .option('--data <json>', 'the body; @file reads a file, @- standard input')
    .option('--header <name: value>', 'a header; may be repeated', collected)
    .action(
      action<ApiOptions, [string, string]>(async ({ client, output }, { data, header = [] }, method, path) => {
        if (!path.startsWith('/')) throw new UsageError(`The path begins with /v1/, not ${path}`);
        const body = data?.startsWith('@') ? await readText(data.slice(1)) : data;
        const headers: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
        for (const each of header) {
          const [, name, value = ''] = /^([^:]+):\s*(.*)$/.exec(each) ?? [];
          if (name === undefined) throw new UsageError(`--header ${each}: name: value is wanted`);
          headers[name.toLowerCase()] = value;
        }
        const { connection } = client();
        const answer = await request(path, { connection, method: method.toUpperCase(), headers, ...(body !== undefined && { body }) });
        if (typeof answer === 'string') await output.line(answer);
        else if (answer !== undefined) await output.json(answer, output.isTerminal ? 2 : undefined);
      }),
    );
};
