import './styles/tokens.css';
import './styles/frame.css';
import './styles/parts.css';
import './styles/pages.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { createRoot } from 'react-dom/client';
import { createService, ServiceProvider } from './api.ts';
import { Console } from './console.tsx';
import { LoginPage } from './login/login-page.tsx';
import { goToIssuer, openSession } from './login/session.ts';
import { settings } from './settings.ts';
import { Loading } from './ui/states.tsx';
import { showTheme } from './ui/theme.ts';

const element = document.getElementById('page');
if (!element) throw new Error('The page has no element to draw into');
const root = createRoot(element);

const start = async (): Promise<void> => {
  showTheme();
  if (settings.clientId === '') {
    root.render(<LoginPage state="notSetUp" />);
    return;
  }
  root.render(
    <main className="alone">
      <Loading />
    </main>,
  );
  try {
    const session = (await openSession()) ?? (await goToIssuer());
    const { service, cache } = createService(session);
    root.render(
      <QueryClientProvider client={cache}>
        <ServiceProvider value={service}>
          <Console onLogOut={() => root.render(<LoginPage state="loggedOut" />)} />
        </ServiceProvider>
      </QueryClientProvider>,
    );
  } catch (error) {
    root.render(<LoginPage state="failed" error={error} />);
  }
};

void start();
