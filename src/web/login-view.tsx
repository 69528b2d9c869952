import { useEffect, useRef, useState } from 'preact/hooks';
import type { Api, Session } from './api.ts';
import { Icon } from './icons.tsx';

export interface LoginViewProps {
  readonly api: Api;
  /** Why somebody is asked who was here before; empty: for the first time. */
  readonly says: string;
  readonly onLogin: (session: Session) => void;
}

export function LoginView({ api, says, onLogin }: LoginViewProps) {
  const input = useRef<HTMLInputElement>(null);
  const [trouble, setTrouble] = useState(says);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const token = input.current?.value.trim() ?? '';
    if (token === '' || isBusy) return;
    setBusy(true);
    const answer = await api.login({ token });
    setBusy(false);
    if (answer.ok) return onLogin(answer.value);
    setTrouble(answer.problem.says);
    input.current?.select();
  };
  return (
    <main class="login">
      <form class="card" onSubmit={submit}>
        <h1>lxc-autoscale</h1>
        <label class="field">
          <span>Token</span>
          <input ref={input} type="password" autocomplete="current-password" required />
        </label>
        {trouble !== '' && (
          <p class="bad" role="alert">
            <Icon name="alert" /> {trouble}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          Log in
        </button>
        <p class="muted">
          A token is in <code>http_tokens</code> of the configuration. On the node,{' '}
          <code>lxc-autoscale dashboard</code> prints a link that logs in once.
        </p>
      </form>
    </main>
  );
}
