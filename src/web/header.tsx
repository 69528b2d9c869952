import { useEffect, useState } from 'preact/hooks';
import type { StatusReport } from '../core/report/status.ts';
import { spanWords } from './amounts.ts';
import type { Session } from './api.ts';
import { Icon } from './icons.tsx';
import type { Live } from './live.ts';
import { hrefOf, type Route } from './route.ts';
import type { Theme } from './theme.ts';

/** What is always in sight: which node, whether it acts, and how fresh what is shown is. */

export interface HeaderProps {
  readonly live: Live;
  readonly route: Route;
  readonly session: Session;
  readonly theme: Theme;
  /** The time of the daemon now. */
  readonly now: () => number;
  readonly onTheme: () => void;
  readonly onLogout: () => void;
  readonly onNode: (node: string) => void;
  readonly onRetry: () => void;
}

const TABS = [
  { view: 'guests', label: 'Guests' },
  { view: 'groups', label: 'Groups' },
  { view: 'advice', label: 'Advice' },
  { view: 'history', label: 'History' },
  { view: 'health', label: 'Health' },
] as const;

export function Header(props: HeaderProps) {
  const { live, route, session, theme, onTheme, onLogout } = props;
  const { report } = live;
  const current = route.view === 'guest' ? 'guests' : route.view;
  return (
    <header class="top">
      <div class="top-row">
        <a class="brand" href="#/guests">
          <Icon name="brand" />
          lxc-autoscale
        </a>
        {report !== undefined && <NodeChoice report={report} onNode={props.onNode} />}
        {report !== undefined && <ModeBadge report={report} />}
        <nav aria-label="Views">
          {TABS.map(({ view, label }) => (
            <a
              key={view}
              href={hrefOf({ view })}
              aria-current={view === current ? 'page' : undefined}
            >
              {label}
            </a>
          ))}
        </nav>
        <Freshness live={live} now={props.now} />
        <button type="button" class="quiet" onClick={onTheme} title={`Colours: ${theme}`}>
          <Icon name={THEME_ICONS[theme]} />
          <span class="unseen">Colours: {theme}</span>
        </button>
        <button
          type="button"
          class="quiet"
          onClick={onLogout}
          title={`Log out ${session.name} (${session.role})`}
        >
          <Icon name="out" />
          <span class="unseen">Log out</span>
        </button>
      </div>
      {live.link === 'lost' && report !== undefined && <OldData {...props} report={report} />}
    </header>
  );
}

const THEME_ICONS = { light: 'sun', dark: 'moon', system: 'system' } as const;

interface NodeChoiceProps {
  readonly report: StatusReport;
  readonly onNode: (node: string) => void;
}

function NodeChoice({ report: { node, others = [], found }, onNode }: NodeChoiceProps) {
  if (node === undefined) return null;
  return (
    <label>
      <span class="unseen">Node</span>
      <select
        value={node}
        title={found?.says}
        onChange={({ currentTarget }) => onNode(currentTarget.value)}
      >
        {[node, ...others.map((other) => other.node)].sort().map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

export type Mode = 'active' | 'observe' | 'dry run' | 'partly';

export function modeOf({ observing, dryRun }: StatusReport): Mode {
  if (dryRun || observing?.scope === 'dry run') return 'dry run';
  if (observing === null) return 'active';
  return observing.scope === 'all' ? 'observe' : 'partly';
}

const MODES = {
  active: { label: 'ACTIVE', title: 'Changes are made.' },
  observe: { label: 'OBSERVE', title: 'Nothing is changed. What would be done is shown.' },
  'dry run': { label: 'DRY RUN', title: 'Nothing is changed. What would be done is shown.' },
  partly: { label: 'ACTIVE', title: 'Changes are made. Some guests are observed only.' },
} as const;

function ModeBadge({ report }: { readonly report: StatusReport }) {
  const mode = modeOf(report);
  const { label, title } = MODES[mode];
  return (
    <a class="mode" data-mode={mode} title={title} href={hrefOf({ view: 'mode' })}>
      <Icon name={mode === 'active' || mode === 'partly' ? 'bolt' : 'eye'} /> {label}
      {mode === 'partly' && <span class="mode-rest">{report.observing?.observed} observed</span>}
    </a>
  );
}

const LINKS = {
  connecting: 'Connecting',
  live: 'Live',
  polling: 'Every 10 s',
  lost: 'No connection',
} as const;

/** A clock that runs while somebody looks. */
function useTicks(): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => {
      if (!document.hidden) tick((count) => count + 1);
    }, 1000);
    return () => window.clearInterval(timer);
  }, []);
}

function Freshness({ live, now }: Pick<HeaderProps, 'live' | 'now'>) {
  useTicks();
  const { link, report } = live;
  const age = report && spanWords(now() - Date.parse(report.at));
  return (
    <span class="fresh" data-link={link} title={live.says || undefined}>
      <span class="dot" aria-hidden="true" />
      <span>{LINKS[link]}</span>
      {report !== undefined && (
        <span class="muted number fresh-cycle">
          cycle {report.cycle}, {age} ago
        </span>
      )}
    </span>
  );
}

function OldData({ live, onRetry, report }: HeaderProps & { readonly report: StatusReport }) {
  useTicks();
  const left = Math.max(0, Math.ceil((live.retryMs - Date.now()) / 1000));
  return (
    <div class="old-note">
      <span role="alert">
        <Icon name="alert" /> {live.says} What you see is old: it is of {report.time}.
      </span>
      <span class="number">Next try in {left} s.</span>
      <button type="button" onClick={onRetry}>
        Try now
      </button>
    </div>
  );
}
