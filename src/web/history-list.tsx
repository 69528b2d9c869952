import { useState } from 'preact/hooks';
import { whenWords } from './amounts.ts';
import { type ActingProps, UndoDialog } from './guest-actions.tsx';
import { StepWords } from './guest-table.tsx';
import { Icon } from './icons.tsx';
import { isBad, isMade, type JournalLine } from './journal-line.ts';
import { hrefOf } from './route.ts';

/** Changes as the JSON log has them, the newest first. */

export interface HistoryListProps extends ActingProps {
  readonly lines: readonly JournalLine[];
  readonly today: string;
  /** Of one guest alone its name is not said in each line. */
  readonly ofOne: boolean;
}

const LABELS = { cores: 'CPU', memory: 'Memory', members: 'Members', disk: 'Disk' } as const;

export function HistoryList({ lines, today, ofOne, ...acting }: HistoryListProps) {
  const [undone, setUndone] = useState<JournalLine>();
  const mayUndo = acting.role !== 'read';
  return (
    <>
      <table class="history">
        <caption class="unseen">What was changed, and why</caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {!ofOne && <th scope="col">Guest</th>}
            <th scope="col">Change</th>
            <th scope="col" class="col-status">
              Status
            </th>
            <th scope="col" class="col-why">
              Reason
            </th>
            {mayUndo && (
              <th scope="col">
                <span class="unseen">Undo</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <Line
              key={`${line.time} ${line.subject} ${line.what} ${line.event}`}
              {...{ line, today, ofOne }}
              onUndo={mayUndo ? setUndone : undefined}
            />
          ))}
        </tbody>
      </table>
      {undone?.vmid !== undefined && (
        <UndoDialog
          {...acting}
          guest={{ vmid: undone.vmid, name: undone.name || undone.subject }}
          backup={undone.backup}
          onClose={() => setUndone(undefined)}
        />
      )}
    </>
  );
}

interface LineProps extends Pick<HistoryListProps, 'today' | 'ofOne'> {
  readonly line: JournalLine;
  /** undefined: nothing can be undone by whoever looks. */
  readonly onUndo: ((line: JournalLine) => void) | undefined;
}

function Line({ line, today, ofOne, onUndo }: LineProps) {
  const { time, status, event } = line;
  const reason = [line.reason, line.note].filter((one) => one !== '').join('. ');
  return (
    <tr>
      <td class="number nowrap">
        <time title={time}>{whenWords(time, today)}</time>
      </td>
      {!ofOne && (
        <th scope="row">
          <Subject line={line} />
        </th>
      )}
      <td>
        <Change line={line} />
        <span class="why-inline">
          {isBad(line) && <span class="bad">{status || event}: </span>}
          {reason}
        </span>
      </td>
      <td class={`col-status ${isBad(line) ? 'bad' : 'muted'}`}>
        {isBad(line) && <Icon name="alert" />} {status || event}
      </td>
      <td class="col-why">{reason}</td>
      {onUndo !== undefined && (
        <td class="col-undo">
          <UndoButton line={line} onUndo={onUndo} />
        </td>
      )}
    </tr>
  );
}

/** Only for what was changed, and has a copy of what was before. */
function UndoButton({ line, onUndo }: Required<Pick<LineProps, 'line' | 'onUndo'>>) {
  const { name, subject, time, vmid, backup } = line;
  if (!isMade(line) || backup === undefined || vmid === undefined) return null;
  return (
    <button
      type="button"
      class="quiet"
      title="Back to before this change"
      aria-label={`Undo the change of ${name || subject} at ${time}`}
      onClick={() => onUndo?.(line)}
    >
      <Icon name="undo" />
    </button>
  );
}

function Subject({ line: { vmid, subject, name } }: { readonly line: JournalLine }) {
  if (vmid === undefined) return <>{subject}</>;
  return (
    <a href={hrefOf({ view: 'guest', vmid })}>
      <span class="muted number">{vmid}</span> {name}
    </a>
  );
}

function Change({ line: { what, from, to, isUp, event } }: { readonly line: JournalLine }) {
  const label = `${event === 'would' ? 'would: ' : ''}${LABELS[what]}`;
  if (from === '') {
    return (
      <span class="step">
        {label} <span class="number">{to}</span>
      </span>
    );
  }
  return <StepWords label={label} from={from} to={to} isUp={isUp} />;
}
