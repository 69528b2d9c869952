import { useState } from 'preact/hooks';
import type { ActingProps } from './guest-actions.tsx';
import { HistoryList } from './history-list.tsx';
import { type JournalLine, journalLine, KINDS, type Kind, says, settled } from './journal-line.ts';
import { SearchField } from './search-field.tsx';
import { AskedView, Empty } from './state-notes.tsx';
import { useAnswer } from './use-answer.ts';

/** The history of all guests, with filters. */

export interface HistoryAnswer {
  readonly events: readonly unknown[];
  readonly more: boolean;
}

export const linesOf = ({ events }: HistoryAnswer): readonly JournalLine[] =>
  settled(events.map(journalLine).filter((line) => line !== undefined));

const SPANS = [
  { since: '24h', label: 'Last 24 hours' },
  { since: '7d', label: 'Last 7 days' },
  { since: '30d', label: 'Last 30 days' },
  { since: '', label: 'All that is kept' },
] as const;

const FIRST_LIMIT = 200;
const MOST = 5000;

export interface HistoryViewProps extends ActingProps {
  readonly today: string;
  readonly version: number;
}

export function HistoryView({ today, version, ...acting }: HistoryViewProps) {
  const [since, setSince] = useState<string>('24h');
  const [kind, setKind] = useState<Kind>('all');
  const [search, setSearch] = useState('');
  const [limit, setLimit] = useState(FIRST_LIMIT);
  const query = `history?limit=${limit}${since === '' ? '' : `&since=${since}`}`;
  const asked = useAnswer<HistoryAnswer>(acting.api, query, version);
  return (
    <section aria-labelledby="history-title">
      <h1 id="history-title">History</h1>
      <div class="toolbar">
        <SearchField label="Search the history" value={search} onInput={setSearch} />
        <label>
          <span class="unseen">How far back</span>
          <select value={since} onChange={({ currentTarget }) => setSince(currentTarget.value)}>
            {SPANS.map((span) => (
              <option key={span.since} value={span.since}>
                {span.label}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span class="unseen">What kind</span>
          <select
            value={kind}
            onChange={({ currentTarget }) => setKind(currentTarget.value as Kind)}
          >
            {Object.entries(KINDS).map(([key, { label }]) => (
              <option key={key} value={key}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      <AskedView asked={asked} what="Reading the history">
        {(answer) => {
          const lines = linesOf(answer).filter(
            (line) => KINDS[kind].takes(line) && says(line, search),
          );
          return (
            <>
              {lines.length === 0 && <Empty>Nothing was logged that fits these filters.</Empty>}
              {lines.length > 0 && (
                <HistoryList {...acting} lines={lines} today={today} ofOne={false} />
              )}
              {answer.more && limit < MOST && (
                <button type="button" class="more" onClick={() => setLimit(limit * 5)}>
                  Show more
                </button>
              )}
            </>
          );
        }}
      </AskedView>
    </section>
  );
}
