import type { Command } from 'commander';
import { all, type CountedGroup, type Group } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, type CommonOptions } from '../command.ts';
import { addOrderOptions, deviceColumns, type OrderOptions } from '../device-options.ts';
import { UsageError } from '../exit-codes.ts';
import { addLastingFilterOptions, describeFilter, filterOf, type LastingFilterOptions } from '../filter-options.ts';
import { formatNumber, formatTime } from '../format.ts';
import { limited } from '../limited.ts';
import type { Column } from '../output.ts';

/** `scu group …`: conditions that choose devices, under a name. */
export const addGroupCommands = (program: Command): void => {
  const group = addGroup(program, 'group', 'groups: conditions that choose devices, under a name');
  addList(group);
  addView(group);
  addMembers(group);
  addAdd(group);
  addChange(group);
  addDelete(group);
};

const columns: Column<Group>[] = [
  { title: 'name', of: ({ name }) => name },
  { title: 'devices that are meant', of: ({ filter }) => describeFilter(filter) },
  { title: 'comment', of: ({ comment }) => comment || null },
];

const addList = (group: Command): void => {
  addCommand(group, 'list', { summary: 'list groups', examples: ['scu group list'], hasCsv: true }).action(
    action(async ({ client, output }) => {
      const api = client();
      await output.list(
        all((page) => api.listGroups(page)),
        columns,
      );
    }),
  );
};

const addView = (group: Command): void => {
  addCommand(group, 'view <name>', {
    summary: 'show a group, and how many devices are in it now',
    examples: ['scu group view night-shift', 'scu group view night-shift --json | jq .devices'],
  }).action(
    action<object, [string]>(async ({ client, output }, _, name) => {
      const found: CountedGroup = await client().getGroup(name);
      const { filter, devices, comment, created_dt } = found;
      const fields = { means: describeFilter(filter), devices: formatNumber(devices), comment, added: formatTime(created_dt) };
      await output.item(found, () => [output.paint('strong', `Group ${name}`), ...output.fields(fields)]);
    }),
  );
};

const addMembers = (group: Command): void => {
  const command = addCommand(group, 'members <name>', {
    summary: 'list the devices that are in a group now',
    examples: ['scu group members night-shift', 'scu group members night-shift --json | jq -r .external_id'],
    hasCsv: true,
  });
  addOrderOptions(command).action(
    action<OrderOptions, [string]>(async ({ client, output }, { sort, limit }, name) => {
      const api = client();
      const members = all((page) => api.listGroupDevices(name, { ...(sort && { sort }), ...page }));
      await output.list(limited(members, limit), deviceColumns);
    }),
  );
};

interface GroupOptions extends LastingFilterOptions {
  comment?: string;
}

const sayWhatIsMeant = ({ name, filter }: Group): string[] => [`Group ${name} means: ${describeFilter(filter)}`];

const addAdd = (group: Command): void => {
  const command = addCommand(group, 'add <name>', {
    summary: 'add a group',
    details: 'A device is in it for as long as it fulfils the conditions. May be repeated with the same ones.',
    examples: ['scu group add night-shift --kind scooter --zone north --tag night --comment "collected at night"'],
  });
  addLastingFilterOptions(command)
    .option('--comment <text>', 'what for; shown with the group')
    .action(
      action<GroupOptions, [string]>(async ({ client, output }, options, name) => {
        const api = client();
        const { comment } = options;
        const added = await api.addGroup({ name, filter: await filterOf(api, options), ...(comment !== undefined && { comment }) });
        await output.item(added, () => sayWhatIsMeant(added));
      }),
    );
};

const addChange = (group: Command): void => {
  const command = addCommand(group, 'change <name>', {
    summary: 'change which devices a group means',
    details: 'The conditions that are named take the place of all that it had. Updates that were requested before keep their devices.',
    examples: [
      'scu group change night-shift --kind scooter --zone north --tag-any night,late',
      'scu group change night-shift --comment ""',
    ],
  });
  addLastingFilterOptions(command)
    .option('--comment <text>', 'what for; shown with the group')
    .action(
      action<GroupOptions, [string]>(async ({ client, output }, options, name) => {
        const api = client();
        const { comment } = options;
        const filter = await filterOf(api, options);
        const isNamed = Object.keys(filter).length > 0;
        if (!isNamed && comment === undefined) throw new UsageError('What is to be changed? Say conditions such as --zone, or --comment');
        const changed = await api.changeGroup(name, { ...(isNamed && { filter }), ...(comment !== undefined && { comment }) });
        await output.item(changed, () => sayWhatIsMeant(changed));
      }),
    );
};

const addDelete = (group: Command): void => {
  addCommand(group, 'delete <name>', {
    summary: 'delete a group; its devices stay as they are',
    examples: ['scu group delete night-shift', 'scu group delete night-shift --yes'],
    asks: true,
  }).action(
    action<CommonOptions, [string]>(async ({ client, output, confirm }, _, name) => {
      await confirm(`Delete group ${name}?`);
      await client().deleteGroup(name);
      await output.item({ deleted: name }, () => [`Group ${name} is deleted.`]);
    }),
  );
};
