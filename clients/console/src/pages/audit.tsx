import { type AuditLine, changesOf, type ListAuditParams, type ListAuditResource } from '../../../api/src/index.ts';
import { useApi, useService } from '../api.ts';
import { linkTo, useQueryOfPage } from '../location.ts';
import { text } from '../text.ts';
import { Field, SearchField, Select } from '../ui/controls.tsx';
import { useList } from '../ui/list.ts';
import { Page } from '../ui/page.tsx';
import { Answer, Empty } from '../ui/states.tsx';
import { type Column, More, Table } from '../ui/table.tsx';
import { Time } from '../ui/time.tsx';
import { addressOf } from './audit-line.ts';

const scope = 'audit:read';

/** To what was changed in one thing; nothing for who may not read it. */
export const ChangesLink = ({ resource, id }: { resource: ListAuditResource; id: string }) => {
  const { scopes } = useService().session;
  return scopes.has(scope) ? <a href={linkTo('/audit', { resource, id })}>{text.audit.link}</a> : null;
};

const columns: readonly Column<AuditLine>[] = [
  { title: text.audit.when, cell: ({ occurred_dt }) => <Time dt={occurred_dt} />, isName: true },
  {
    title: text.audit.who,
    cell: ({ caller }) => (
      <a className="cut" href={linkTo('/audit', { caller })}>
        {caller}
      </a>
    ),
  },
  { title: text.audit.what, cell: ({ action, resource }) => text.audit.did(action, resource), isName: true },
  { title: text.audit.which, cell: (line) => <Which line={line} /> },
  { title: text.audit.outcome, cell: ({ outcome }) => <Outcome outcome={outcome} /> },
  { title: text.states.requestId, cell: ({ request_id }) => <code className="cut">{request_id}</code>, isMinor: true },
];

const Which = ({ line }: { line: AuditLine }) => {
  const address = addressOf(line);
  const name = line.resource_id ?? text.audit.many;
  return address === undefined ? name : <a href={linkTo(address)}>{name}</a>;
};

/** From what to what. What was new is told when it is asked for: it may be long. */
export const Outcome = ({ outcome }: Pick<AuditLine, 'outcome'>) => {
  const changes = changesOf(outcome);
  const list = (
    <ul className="changes">
      {changes.map(({ field, before, after }) => (
        <li key={field}>
          <span className="small">{field}</span>{' '}
          {before !== undefined && (
            <>
              <del>{text.audit.value(before)}</del> →{' '}
            </>
          )}
          <ins>{text.audit.value(after)}</ins>
        </li>
      ))}
    </ul>
  );
  if (changes.length <= 3 || changes.some(({ before }) => before !== undefined)) return list;
  return (
    <details>
      <summary>{text.audit.fields(changes.length)}</summary>
      {list}
    </details>
  );
};

const asMoment = (typed: string): string | undefined =>
  typed === '' || Number.isNaN(Date.parse(typed)) ? undefined : new Date(typed).toISOString();

export const AuditPage = () => {
  const api = useApi();
  const { scopes } = useService().session;
  const [query, change] = useQueryOfPage();
  const get = (name: string) => query.get(name) ?? '';
  const [since, until] = [asMoment(get('since')), asMoment(get('until'))];
  const conditions: ListAuditParams = {
    ...(get('caller') && { caller: get('caller') }),
    ...(get('action') && { action: get('action') }),
    ...(get('resource') && { resource: get('resource') as ListAuditResource }),
    // The service takes an id with the kind of thing alone.
    ...(get('resource') && get('id') && { resource_id: get('id') }),
    ...(get('request') && { request_id: get('request') }),
    ...(since && { since }),
    ...(until && { until }),
  };
  const list = useList(['audit', conditions], (page, options) => api.listAudit({ ...page, ...conditions }, options), {
    isEnabled: scopes.has(scope),
  });
  return (
    <Page title={text.audit.title} lead={text.audit.lead}>
      {scopes.has(scope) ? (
        <>
          <div className="filters">
            <SearchField label={text.audit.who} value={get('caller')} onChange={(caller) => change({ caller })} />
            <Select
              label={text.audit.thing}
              value={get('resource')}
              any={text.filters.any}
              options={Object.entries(text.audit.things).map(([value, label]) => ({ value, label }))}
              onChange={(resource) => change({ resource, id: '' })}
            />
            {get('resource') !== '' && <SearchField label={text.audit.which} value={get('id')} onChange={(id) => change({ id })} />}
            {(['since', 'until'] as const).map((name) => (
              <Field key={name} label={text.audit[name]}>
                {(ids) => (
                  <input {...ids} type="datetime-local" value={get(name)} onChange={(event) => change({ [name]: event.target.value })} />
                )}
              </Field>
            ))}
            <SearchField label={text.states.requestId} value={get('request')} onChange={(request) => change({ request })} />
          </div>
          <Answer query={{ ...list, data: list.items }}>
            {(items) =>
              items.length === 0 ? (
                <Empty>{query.size > 0 ? text.filters.nothing : text.audit.none}</Empty>
              ) : (
                <>
                  <Table label={text.audit.title} columns={columns} rows={items} keyOf={({ id }) => id} isBusy={list.isPlaceholderData} />
                  <More query={list} />
                </>
              )
            }
          </Answer>
        </>
      ) : (
        <Empty>{text.lacksScope(scope)}</Empty>
      )}
    </Page>
  );
};
