import type { Assembly } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatBytes } from '../format.ts';
import { linkTo } from '../location.ts';
import { text } from '../text.ts';
import { ButtonLink } from '../ui/controls.tsx';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';

const columns: readonly Column<Assembly>[] = [
  {
    title: text.packages.package,
    cell: ({ hardware_type, version, firmware_id }) => (
      <a href={linkTo(`/firmwares/${firmware_id}`)}>
        {hardware_type} {version}
      </a>
    ),
  },
  {
    title: text.updates.status,
    cell: ({ status, reason, last_error }) => (
      <>
        {text.packages.statuses[status]} <span className="small">{reason ?? (status === 'COMPLETED' ? '' : last_error)}</span>
      </>
    ),
  },
  {
    title: text.packages.parts,
    cell: ({ parts }) => (
      <span className="versions">
        {parts.map(({ firmware_id, hardware_type, version }) => (
          <span className="version" key={firmware_id}>
            {hardware_type} <a href={linkTo(`/firmwares/${firmware_id}`)}>{version}</a>
          </span>
        ))}
      </span>
    ),
  },
  {
    title: text.firmwares.size,
    cell: ({ size_bytes }) => (size_bytes === null ? '–' : formatBytes(size_bytes)),
    isNumber: true,
    isMinor: true,
  },
  { title: text.packages.signed, cell: ({ signed }) => (signed ? text.yes : text.no), isMinor: true },
  { title: text.updates.by, cell: ({ created_by }) => created_by, isMinor: true },
  { title: text.updates.requested, cell: ({ created_dt }) => <Time dt={created_dt} />, isMinor: true, isName: true },
];

export const PackagesPage = () => {
  const api = useApi();
  const list = useList(['packages'], (page, options) => api.listAssemblies(page, options), {
    // Seldom, while none is being made.
    pollMilliseconds: (items) => (items.some(({ status }) => status === 'IN_PROGRESS') ? 5_000 : 30_000),
  });
  return (
    <Page
      title={text.packages.title}
      lead={text.packages.lead}
      actions={
        <ButtonLink kind="primary" scope="firmware:write" href={linkTo('/packages/new')}>
          {text.packages.add}
        </ButtonLink>
      }
    >
      <Answer query={{ ...list, data: list.items }}>
        {(items) =>
          items.length === 0 ? (
            <Empty action={<a href={linkTo('/packages/new')}>{text.packages.add}</a>}>{text.packages.none}</Empty>
          ) : (
            <>
              <Table label={text.packages.title} columns={columns} rows={items} keyOf={({ id }) => id} />
              <More query={list} />
            </>
          )
        }
      </Answer>
    </Page>
  );
};
