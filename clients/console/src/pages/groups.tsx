import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { Group } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import {
  emptyFilter,
  type FilterDraft,
  filterFromQuery,
  findWrongInFilter,
  fromFilter,
  toFilter,
  toListParameters,
} from '../filter/filter.ts';
import { FilterFields } from '../filter/filter-fields.tsx';
import { linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Button, Field } from '../ui/controls.tsx';
import { Confirmation } from '../ui/dialog.tsx';
import { useAvailableFirmwares } from '../ui/firmwares.ts';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { useSettled } from '../ui/use-settled.ts';

export const groupScope = 'devices:write';

const columns: readonly Column<Group>[] = [
  { title: text.groups.group, cell: ({ name }) => <a href={linkTo(`/groups/${name}`)}>{name}</a>, isName: true },
  { title: text.groups.filter, cell: ({ filter }) => text.filterOf(filter) },
  { title: text.updates.comment, cell: ({ comment }) => comment, isMinor: true },
  { title: text.groups.made, cell: ({ created_dt }) => <Time dt={created_dt} />, isMinor: true, isName: true },
];

export const GroupsPage = () => {
  const api = useApi();
  const [query, change] = useQueryOfPage();
  const list = useList(['groups'], (page, options) => api.listGroups(page, options));
  const isOpen = query.get('new') === 'true';
  return (
    <Page
      title={text.groups.title}
      lead={text.groups.lead}
      actions={
        <Button kind="primary" scope={groupScope} onClick={() => change({ new: 'true' })}>
          {text.groups.add}
        </Button>
      }
    >
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty action={<a href={linkTo('/fleet')}>{text.groups.toFleet}</a>}>{text.groups.none}</Empty>
          ) : (
            <>
              <Table label={text.groups.title} columns={columns} rows={items} keyOf={({ name }) => name} />
              <More query={list} />
            </>
          )
        }
      </Answer>
      {isOpen && (
        <GroupDialog
          filter={filterFromQuery(query)}
          onClose={() => change(Object.fromEntries([...query.keys()].map((name) => [name, ''])))}
        />
      )}
    </Page>
  );
};

/** A new group, or another filter for one that there is. */
export const GroupDialog = ({ group, filter: first, onClose }: { group?: Group; filter?: FilterDraft; onClose: () => void }) => {
  const api = useApi();
  const cache = useQueryClient();
  const firmwares = useAvailableFirmwares();
  const catalogue = firmwares.data ?? [];
  const [name, setName] = useState('');
  const [comment, setComment] = useState(group?.comment ?? '');
  const [draft, setDraft] = useState<FilterDraft>(
    () => first ?? (group ? fromFilter(group.filter, catalogue) : { ...emptyFilter, kind: 'scooter' }),
  );
  const wrong = findWrongInFilter(draft, catalogue);
  const filter = toFilter(draft, catalogue);
  const { mutate, isPending, error } = useMutation({
    mutationFn: () => (group ? api.changeGroup(group.name, { filter, comment }) : api.addGroup({ name, filter, comment })),
    onSuccess: async () => {
      onClose();
      await cache.invalidateQueries({ queryKey: ['groups'] });
    },
  });
  return (
    <Confirmation
      title={group ? text.groups.changeTitle(group.name) : text.groups.add}
      act={text.zones.save}
      isBlocked={(!group && name === '') || Object.keys(wrong).length > 0}
      {...{ onAct: mutate, onClose, isPending, error }}
    >
      {!group && (
        <Field label={text.groups.name} hint={text.groups.nameHint}>
          {(ids) => <input {...ids} type="text" maxLength={64} value={name} onChange={(event) => setName(event.target.value)} />}
        </Field>
      )}
      <FilterFields draft={draft} wrong={wrong} change={(changes) => setDraft((before) => ({ ...before, ...changes }))} />
      <p aria-live="polite">
        <strong>{text.filterOf(filter)}</strong>
        <Members draft={draft} />
      </p>
      <Field label={text.updates.comment}>
        {(ids) => <input {...ids} type="text" maxLength={2000} value={comment} onChange={(event) => setComment(event.target.value)} />}
      </Field>
    </Confirmation>
  );
};

/** How many the filter finds now. */
const Members = ({ draft }: { draft: FilterDraft }) => {
  const api = useApi();
  const catalogue = useAvailableFirmwares().data ?? [];
  const conditions = useSettled({ ...toListParameters(draft, catalogue, new Date()), retired: draft.retired === 'true' });
  const { data } = useQuery({
    queryKey: ['devices', 'counted', conditions],
    queryFn: ({ signal }) => api.listDevices({ ...conditions, limit: 1, total: true }, { signal }),
    placeholderData: (before) => before,
  });
  return data?.total === undefined ? null : <> · {text.groups.members(data.total)}</>;
};
