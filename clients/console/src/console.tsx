// The frame around all pages: where one can go, who is logged in, and what is wrong with the connection.
import { type ReactNode, useEffect, useState } from 'react';
import { Route, Router, Switch, useLocation } from 'wouter';
import { useService, useTrouble } from './api.ts';
import { linkTo, useHashPath } from './location.ts';
import { goToIssuer } from './login/session.ts';
import { AuditPage } from './pages/audit.tsx';
import { DevicePage } from './pages/device.tsx';
import { FirmwarePage } from './pages/firmware.tsx';
import { FirmwaresPage } from './pages/firmwares.tsx';
import { FleetPage } from './pages/fleet.tsx';
import { GroupPage } from './pages/group.tsx';
import { GroupsPage } from './pages/groups.tsx';
import { NewPackagePage } from './pages/new-package.tsx';
import { NewUpdatePage } from './pages/new-update.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PackagesPage } from './pages/packages.tsx';
import { StatisticsPage } from './pages/statistics.tsx';
import { UpdatePage } from './pages/update.tsx';
import { UpdatesPage } from './pages/updates.tsx';
import { ZonesPage } from './pages/zones.tsx';
import { apiUrl } from './settings.ts';
import { text } from './text.ts';
import { Page, useFocusOnChange } from './ui/page.tsx';
import { Empty } from './ui/states.tsx';
import { readTheme, showTheme, type Theme, themes } from './ui/theme.ts';
import { Wordmark } from './ui/wordmark.tsx';

const places: readonly { path: string; name: keyof typeof text.places }[] = [
  { path: '/', name: 'overview' },
  { path: '/updates', name: 'updates' },
  { path: '/firmwares', name: 'firmwares' },
  { path: '/packages', name: 'packages' },
  { path: '/fleet', name: 'fleet' },
  { path: '/groups', name: 'groups' },
  { path: '/zones', name: 'zones' },
  { path: '/statistics', name: 'statistics' },
  { path: '/audit', name: 'audit' },
];

const idOf = (value: string | undefined): number => (/^\d{1,10}$/.test(value ?? '') ? Number(value) : 0);

export const Console = ({ onLogOut }: { onLogOut: () => void }) => (
  <Router hook={useHashPath}>
    <Frame onLogOut={onLogOut}>
      <Switch>
        <Route path="/">
          <OverviewPage />
        </Route>
        <Route path="/updates">
          <UpdatesPage />
        </Route>
        <Route path="/updates/new">
          <NewUpdatePage />
        </Route>
        <Route path="/updates/:id">{({ id }) => <UpdatePage key={id} id={idOf(id)} />}</Route>
        <Route path="/firmwares">
          <FirmwaresPage />
        </Route>
        <Route path="/firmwares/:id">{({ id }) => <FirmwarePage key={id} id={idOf(id)} />}</Route>
        <Route path="/packages">
          <PackagesPage />
        </Route>
        <Route path="/packages/new">
          <NewPackagePage />
        </Route>
        <Route path="/groups">
          <GroupsPage />
        </Route>
        <Route path="/groups/:name">{({ name }) => <GroupPage key={name} name={name ?? ''} />}</Route>
        <Route path="/audit">
          <AuditPage />
        </Route>
        <Route path="/fleet">
          <FleetPage />
        </Route>
        <Route path="/fleet/:kind/:id">
          {({ kind, id }) => <DevicePage key={`${kind} ${id}`} kind={kind === 'cabinet' ? 'cabinet' : 'scooter'} externalId={id ?? ''} />}
        </Route>
        <Route path="/zones">
          <ZonesPage />
        </Route>
        <Route path="/statistics">
          <StatisticsPage />
        </Route>
        <Route>
          <Page title={text.notFound.title}>
            <Empty action={<a href={linkTo('/')}>{text.places.overview}</a>}>{text.notFound.says}</Empty>
          </Page>
        </Route>
      </Switch>
    </Frame>
  </Router>
);

const Frame = ({ onLogOut, children }: { onLogOut: () => void; children: ReactNode }) => {
  const [path] = useLocation();
  const { session } = useService();
  const [isOpen, setOpen] = useState(false);
  const main = useFocusOnChange(path);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu of a phone closes when a page was chosen
  useEffect(() => setOpen(false), [path]);
  return (
    <div className="frame">
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        {text.frame.skip}
      </button>
      <header className={`side ${isOpen ? 'open' : ''}`}>
        <a className="home" href={linkTo('/')}>
          <Wordmark />
        </a>
        <button type="button" className="menu" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          {text.frame.menu}
        </button>
        <nav aria-label={text.frame.pages}>
          <ul>
            {places.map(({ path: place, name }) => (
              <li key={place}>
                <a href={linkTo(place)} aria-current={isAt(place, path) ? 'page' : undefined}>
                  {text.places[name]}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div className="who">
          <span className="name" title={[...session.scopes].join(' ')}>
            {session.who}
          </span>
          <ThemeChoice />
          <span className="links">
            <a href={`${apiUrl}/docs`}>{text.frame.docs}</a>
            <button type="button" className="as-link" onClick={onLogOut}>
              {text.frame.logOut}
            </button>
          </span>
        </div>
      </header>
      <main ref={main} tabIndex={-1}>
        <TroubleBar />
        {children}
      </main>
    </div>
  );
};

const isAt = (place: string, path: string): boolean => (place === '/' ? path === '/' : path === place || path.startsWith(`${place}/`));

const ThemeChoice = () => {
  const [theme, setTheme] = useState<Theme>(readTheme);
  return (
    <select
      aria-label={text.frame.theme}
      value={theme}
      onChange={({ target }) => {
        showTheme(target.value as Theme);
        setTheme(target.value as Theme);
      }}
    >
      {themes.map((each) => (
        <option key={each} value={each}>
          {text.frame.themes[each]}
        </option>
      ))}
    </select>
  );
};

/** Always in the page, so that a screen reader hears when something comes into it. */
const TroubleBar = () => {
  const { unreachable, isLoginEnded } = useTrouble();
  return (
    <div className="trouble" role="status">
      {isLoginEnded ? (
        <p>
          {text.login.ended}{' '}
          <button type="button" onClick={() => void goToIssuer()}>
            {text.login.again}
          </button>
        </p>
      ) : unreachable !== null ? (
        <p>{text.frame.unreachable}</p>
      ) : null}
    </div>
  );
};
