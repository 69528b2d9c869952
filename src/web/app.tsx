import { useEffect, useMemo, useState } from 'preact/hooks';
import type { HealthReport } from '../core/report/health.ts';
import type { StatusReport } from '../core/report/status.ts';
import { AdviceView } from './advice-view.tsx';
import { type Api, ofNode, type Problem, type Session } from './api.ts';
import { GroupsView } from './groups-view.tsx';
import { GuestView } from './guest-view.tsx';
import { GuestsView } from './guests-view.tsx';
import { Header, modeOf } from './header.tsx';
import { HealthView } from './health-view.tsx';
import { HistoryView } from './history-view.tsx';
import { type Live, LiveStatus } from './live.ts';
import { LoginView } from './login-view.tsx';
import { ModeView } from './mode-view.tsx';
import { type Route, useRoute } from './route.ts';
import type { SparksAnswer } from './sparkline.tsx';
import { Empty, Loading, Trouble } from './state-notes.tsx';
import { Summary } from './summary.tsx';
import { applyTheme, keptTheme, nextTheme, type Theme } from './theme.ts';
import { useAnswer } from './use-answer.ts';

/** Who is there? Until that is known nothing else is asked. */
type Who =
  | { readonly kind: 'asking'; readonly problem?: Problem }
  | { readonly kind: 'nobody'; readonly says: string }
  | { readonly kind: 'known'; readonly session: Session };

const RETRY_MS = 3000;
const NOT_LOGGED_OUT =
  'The logout did not reach the daemon. Your session ends after an hour without use.';

export function App({ api }: { readonly api: Api }) {
  const [who, setWho] = useState<Who>({ kind: 'asking' });
  useEffect(() => {
    let timer = 0;
    const ask = async (): Promise<void> => {
      const answer = await whoIsThere(api);
      if ('kind' in answer) return setWho(answer);
      setWho({ kind: 'asking', problem: answer.problem });
      timer = window.setTimeout(ask, RETRY_MS);
    };
    void ask();
    api.onSignedOut(() => setWho({ kind: 'nobody', says: 'Your session is over. Log in again.' }));
    return () => window.clearTimeout(timer);
  }, [api]);
  const know = (session: Session): void => setWho({ kind: 'known', session });
  if (who.kind === 'nobody') return <LoginView api={api} says={who.says} onLogin={know} />;
  if (who.kind === 'asking') {
    return (
      <main class="login">
        {who.problem === undefined ? (
          <Loading what="Connecting" />
        ) : (
          <Trouble problem={who.problem} />
        )}
      </main>
    );
  }
  const logout = async (): Promise<void> => {
    const { ok } = await api.logout();
    setWho({ kind: 'nobody', says: ok ? '' : NOT_LOGGED_OUT });
  };
  return <Page api={api} session={who.session} onLogout={logout} />;
}

/** By a link that logs in once, or by the cookie of an earlier visit. */
async function whoIsThere(api: Api): Promise<Who | { readonly problem: Problem }> {
  const code = /^#login=([\w-]{1,200})$/.exec(location.hash)?.[1];
  if (code !== undefined) {
    history.replaceState(null, '', '#/guests');
    const answer = await api.login({ code });
    if (answer.ok) return { kind: 'known', session: answer.value };
    if (answer.problem.kind === 'refused') return { kind: 'nobody', says: answer.problem.says };
  }
  const answer = await api.session();
  if (!answer.ok) return { problem: answer.problem };
  if (answer.value === undefined) return { kind: 'nobody', says: '' };
  return { kind: 'known', session: answer.value };
}

interface PageProps {
  readonly api: Api;
  readonly session: Session;
  readonly onLogout: () => void;
}

function useLive(api: Api): { readonly status: LiveStatus; readonly live: Live } {
  const [, redraw] = useState(0);
  const status = useMemo(() => new LiveStatus(api, () => redraw((count) => count + 1)), [api]);
  useEffect(() => {
    status.start();
    return () => status.stop();
  }, [status]);
  return { status, live: status.current };
}

function Page({ api, session, onLogout }: PageProps) {
  const route = useRoute();
  const { status, live } = useLive(api);
  const [theme, setTheme] = useState<Theme>(keptTheme);
  useEffect(() => applyTheme(theme), [theme]);
  const { report } = live;
  useTitle(report, live);
  return (
    <div class="page" data-link={live.link} data-mode={report && modeOf(report)}>
      <button type="button" class="skip" onClick={skipToContent}>
        Skip to the content
      </button>
      <Header
        {...{ live, route, session, theme, onLogout }}
        now={api.now}
        onTheme={() => setTheme(nextTheme(theme))}
        onNode={status.showNode}
        onRetry={status.refresh}
      />
      <main id="content" tabIndex={-1}>
        {report === undefined ? (
          <NothingYet live={live} />
        ) : (
          <View
            {...{ api, route, report, live, theme }}
            role={session.role}
            onDone={status.refresh}
          />
        )}
      </main>
    </div>
  );
}

/** No link: the part of the address after # is the view. */
const skipToContent = (): void => document.getElementById('content')?.focus();

function useTitle(report: StatusReport | undefined, { link }: Live): void {
  useEffect(() => {
    const mode = report === undefined ? '' : `${modeOf(report).toUpperCase()} · `;
    const mark = link === 'lost' ? '(old) ' : '';
    document.title = `${mark}${mode}${report?.node ?? 'lxc-autoscale'}`;
  });
}

function NothingYet({ live: { link, says } }: { readonly live: Live }) {
  if (link === 'lost') return <Trouble problem={{ kind: 'away', code: 'away', says }} />;
  return <Loading what={says === '' ? 'Reading the state of the node' : says} />;
}

interface ViewProps {
  readonly api: Api;
  readonly route: Route;
  readonly report: StatusReport;
  readonly live: Live;
  readonly theme: Theme;
  readonly role: Session['role'];
  readonly onDone: () => void;
}

function View({ api, route, report, live, theme, role, onDone }: ViewProps) {
  const { version } = live;
  const node = report.others === undefined ? undefined : report.node;
  const there = useMemo(() => ofNode(api, node), [api, node]);
  const health = useAnswer<HealthReport>(api, 'health', version);
  const isTable = route.view === 'guests';
  const sparks = useAnswer<SparksAnswer>(
    there,
    isTable ? 'usage?hours=24&points=48' : undefined,
    report.cycle,
  );
  const acting = { api: there, role, onDone };
  const today = report.time;
  switch (route.view) {
    case 'guests':
      return (
        <>
          <Summary report={report} health={health} />
          <GuestsView rows={report.containers} today={today} sparks={sparks.value?.guests} />
        </>
      );
    case 'guest': {
      const row = report.containers.find(({ vmid }) => vmid === route.vmid);
      if (row === undefined) return <Empty>Guest {route.vmid} is not on this node.</Empty>;
      const about = { row, today, version, theme };
      return <GuestView key={route.vmid} {...acting} {...about} />;
    }
    case 'groups':
      return <GroupsView {...acting} api={api} version={version} />;
    case 'advice':
      return <AdviceView api={there} rows={report.containers} />;
    case 'mode':
      return <ModeView {...acting} api={api} rows={report.containers} />;
    case 'history':
      return <HistoryView {...acting} today={today} version={version} />;
    case 'health':
      return <HealthView health={health} />;
  }
}
