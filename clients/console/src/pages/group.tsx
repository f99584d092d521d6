import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { CountedGroup } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { isEditable } from '../filter/filter.ts';
import { formatNumber } from '../format.ts';
import { goTo, linkTo } from '../location.ts';
import { text } from '../text.ts';
import { Button, ButtonLink } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useList } from '../ui/list.ts';
import { Page, Section } from '../ui/page.tsx';
import { useSorting } from '../ui/sorting.ts';
import { Answer, Empty } from '../ui/states.tsx';
import { More, Table } from '../ui/table.tsx';
import { ChangesLink } from './audit.tsx';
import { deviceColumns, deviceSorts, keyOfDevice } from './fleet.tsx';
import { GroupDialog, groupScope } from './groups.tsx';

export const GroupPage = ({ name }: { name: string }) => {
  const api = useApi();
  const group = useQuery({ queryKey: ['groups', 'one', name], queryFn: ({ signal }) => api.getGroup(name, { signal }) });
  const { sort, sorting } = useSorting(deviceSorts);
  const members = useList(['groups', 'members', name, sort], (page, options) => api.listGroupDevices(name, { ...page, sort }, options));
  return (
    <Page title={name} lead={group.data && text.filterOf(group.data.filter)} actions={group.data && <Actions group={group.data} />}>
      <Answer query={group} lines={2}>
        {({ devices, comment }) => (
          <p className="big">
            <strong>{formatNumber(devices)}</strong> {text.groups.now(devices)}
            {comment && ` · ${comment}`}
          </p>
        )}
      </Answer>
      <Section title={text.updates.devices} aside={<ChangesLink resource="group" id={name} />}>
        <Answer query={{ ...members, data: members.items }}>
          {(items) =>
            items.length === 0 ? (
              <Empty>{text.groups.nobody}</Empty>
            ) : (
              <>
                <Table
                  label={text.updates.devices}
                  columns={deviceColumns}
                  rows={items}
                  keyOf={keyOfDevice}
                  sorting={sorting}
                  isBusy={members.isPlaceholderData}
                />
                <More query={members} />
              </>
            )
          }
        </Answer>
      </Section>
    </Page>
  );
};

const Actions = ({ group }: { group: CountedGroup }) => {
  const [open, setOpen] = useState<'change' | 'delete'>();
  const firmwares = useAvailableFirmwares();
  const close = () => setOpen(undefined);
  const canChange = firmwares.data !== undefined && isEditable(group.filter, firmwares.data);
  return (
    <>
      <Button kind="danger" scope={groupScope} onClick={() => setOpen('delete')}>
        {text.groups.remove}
      </Button>
      <Button
        scope={groupScope}
        disabled={!canChange}
        title={canChange ? undefined : text.groups.tooRich}
        onClick={() => setOpen('change')}
      >
        {text.zones.change}
      </Button>
      <ButtonLink kind="primary" scope="updates:write" href={linkTo('/updates/new', { group: group.name, kind: group.filter.kind })}>
        {text.groups.update}
      </ButtonLink>
      {open === 'change' && <GroupDialog group={group} onClose={close} />}
      {open === 'delete' && <Remove group={group} onClose={close} />}
    </>
  );
};

const Remove = ({ group: { name, devices }, onClose }: { group: CountedGroup; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => api.deleteGroup(name),
    onSuccess: async () => {
      onClose();
      goTo('/groups');
      await cache.invalidateQueries({ queryKey: ['groups'] });
    },
  });
  return (
    <Confirmation
      title={text.groups.removeTitle(name)}
      act={text.groups.remove}
      kind="danger"
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      <p>{text.groups.removeSays(devices)}</p>
    </Confirmation>
  );
};
