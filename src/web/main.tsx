import { render } from 'preact';
import { createApi } from './api.ts';
import { App } from './app.tsx';
import { applyTheme, keptTheme } from './theme.ts';

/** The page: see `tools/build/page.ts` for the file that it becomes. */

applyTheme(keptTheme());
const root = document.getElementById('root');
if (root !== null) render(<App api={createApi()} />, root);
