import { useState } from 'preact/hooks';
import type { ContainerRow } from '../core/report/status.ts';
import { ActionDialog, type Wish } from './action-dialog.tsx';
import type { Api, Session } from './api.ts';
import { isHeld } from './guest-rows.ts';
import { coresLimit } from './guest-table.tsx';
import { Icon } from './icons.tsx';

/** What a person may do with a guest: change it, pause it, undo the last change. */

export interface ActingProps {
  readonly api: Api;
  readonly role: Session['role'];
  readonly onDone: () => void;
}

type Action = 'change' | 'pause' | 'resume' | 'undo';

export function GuestActions({ row, ...acting }: ActingProps & { readonly row: ContainerRow }) {
  const [action, setAction] = useState<Action>();
  if (acting.role === 'read') return null;
  const dialog = { ...acting, row, onClose: () => setAction(undefined) };
  return (
    <div class="actions">
      <button type="button" onClick={() => setAction('change')}>
        <Icon name="edit" /> Change
      </button>
      {isHeld(row) ? (
        <button type="button" onClick={() => setAction('resume')}>
          <Icon name="play" /> Resume
        </button>
      ) : (
        <button type="button" onClick={() => setAction('pause')}>
          <Icon name="pause" /> Pause
        </button>
      )}
      {row.lastChange !== null && (
        <button type="button" onClick={() => setAction('undo')}>
          <Icon name="undo" /> Undo last change
        </button>
      )}
      {action === 'change' && <ChangeDialog {...dialog} />}
      {action === 'pause' && <PauseDialog {...dialog} />}
      {action === 'resume' && <ResumeDialog {...dialog} />}
      {action === 'undo' && <UndoDialog {...dialog} guest={row} />}
    </div>
  );
}

interface DialogProps extends ActingProps {
  readonly row: ContainerRow;
  readonly onClose: () => void;
}

/** Cores, or the CPU limit of a guest that is scaled by it. */
const cpuLever = (row: ContainerRow): 'cores' | 'cpulimit' =>
  row.unit === 'cpulimit' ? 'cpulimit' : 'cores';

function ChangeDialog({ row, ...dialog }: DialogProps) {
  const lever = cpuLever(row);
  const [what, setWhat] = useState<'cpu' | 'memory'>('cpu');
  const [cpu, setCpu] = useState(`${coresLimit(row.allocation, row.unit) ?? ''}`);
  const [memory, setMemory] = useState(`${row.allocation?.memoryMib ?? ''}`);
  const isCpu = what === 'cpu';
  const amount = Number(isCpu ? cpu : memory);
  const key = isCpu ? lever : 'memory';
  const path = `guests/${row.vmid}/${key}`;
  const wish: Wish | undefined = amount > 0 ? { path, body: { [key]: amount } } : undefined;
  const isFraction = isCpu && lever === 'cpulimit';
  return (
    <ActionDialog {...dialog} title={`Change ${row.name}`} verb="Apply" wish={wish} mayForce>
      <fieldset class="segments">
        <legend class="unseen">What to change</legend>
        {(['cpu', 'memory'] as const).map((one) => (
          <label key={one}>
            <input type="radio" name="what" checked={what === one} onChange={() => setWhat(one)} />
            <span>{one === 'cpu' ? 'CPU' : 'Memory'}</span>
          </label>
        ))}
      </fieldset>
      <label class="field">
        <span>{isCpu ? CPU_WORDS[lever] : 'Memory in MB'}</span>
        <input
          type="number"
          inputMode="decimal"
          required
          min={isFraction ? 0.1 : 1}
          step={isFraction ? 'any' : 1}
          value={isCpu ? cpu : memory}
          onInput={({ currentTarget: { value } }) => (isCpu ? setCpu(value) : setMemory(value))}
        />
      </label>
    </ActionDialog>
  );
}

const CPU_WORDS = { cores: 'Cores', cpulimit: 'CPU limit in cores' } as const;

const PAUSES = [
  { minutes: 60, label: 'One hour' },
  { minutes: 240, label: 'Four hours' },
  { minutes: 1440, label: 'One day' },
  { minutes: 10_080, label: 'One week' },
] as const;

function PauseDialog({ row, ...dialog }: DialogProps) {
  const [minutes, setMinutes] = useState(60);
  const wish = { path: `guests/${row.vmid}/pause`, body: { minutes } };
  return (
    <ActionDialog {...dialog} title={`Pause ${row.name}`} verb="Pause" wish={wish}>
      <label class="field">
        <span>For how long</span>
        <select
          value={minutes}
          onChange={({ currentTarget }) => setMinutes(Number(currentTarget.value))}
        >
          {PAUSES.map(({ minutes: value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <p>This guest keeps what it has until then, however much it uses.</p>
    </ActionDialog>
  );
}

function ResumeDialog({ row, ...dialog }: DialogProps) {
  const wish = { path: `guests/${row.vmid}/resume`, body: {} };
  return (
    <ActionDialog {...dialog} title={`Resume ${row.name}`} verb="Resume" wish={wish}>
      <p>This guest is evaluated again from the next cycle on.</p>
    </ActionDialog>
  );
}

export interface UndoDialogProps extends ActingProps {
  readonly guest: { readonly vmid: number; readonly name: string };
  /** The copy to go back to; undefined: the one of the last change. */
  readonly backup?: string | undefined;
  readonly onClose: () => void;
}

export function UndoDialog({ guest, backup, ...dialog }: UndoDialogProps) {
  const { vmid, name } = guest;
  const wish = {
    path: `guests/${vmid}/rollback`,
    body: backup === undefined ? {} : { to: backup },
  };
  const title = backup === undefined ? `Undo the last change of ${name}` : `Take ${name} back`;
  return (
    <ActionDialog {...dialog} title={title} verb="Undo" wish={wish}>
      <p>
        CPU and memory become what they were before {backup ? 'this' : 'that'} change. Then the
        guest is on hold for an hour.
      </p>
    </ActionDialog>
  );
}
