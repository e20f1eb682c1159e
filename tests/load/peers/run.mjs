// Compares Tidemill with Restate on this machine: the same work and load, one after the other.
//
//     make peers                       everything; writes target/peers/table.md
//     node tests/load/peers/run.mjs PART…
//
// Parts: `install` (the Restate server, from npm), `build` (its service, the guests, Tidemill),
// `restate` and `tidemill` (measure one of them), `table` (of the results). Environment variables:
//   PEERS_SECONDS   duration of each measurement, in seconds (10)
//   PEERS_ROUNDS    number of rounds, of which the median counts (1)
//   PEERS_DIR       folder for all output (target/peers)
//   TIDEMILL        an existing binary to measure
//   OHA             the load generator
//
// This is not a test: it fails if a request fails, and the reader judges the times.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync, existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { measure } from './measure.mjs'
import * as restate from './restate.mjs'
import * as tidemill from './tidemill.mjs'

const root = resolve(import.meta.dirname, '../../..')
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')
const dir = resolve(root, process.env.PEERS_DIR ?? join(target, 'peers'))
const seconds = Number(process.env.PEERS_SECONDS ?? 10)
const rounds = Number(process.env.PEERS_ROUNDS ?? 1)
const place = { root, target, dir }

const parts = {
  install: () => restate.install(place),
  build() {
    restate.build(place)
    tidemill.build(place)
  },
  restate: () => keep('restate', measure(restate, place, seconds, rounds)),
  tidemill: () => keep('tidemill', measure(tidemill, place, seconds, rounds)),
  table() {
    const text = table(kept('tidemill'), kept('restate'))
    writeFileSync(join(dir, 'table.md'), text)
    console.log(text)
  },
}

async function keep(name, measured) {
  writeFileSync(join(dir, `${name}.json`), JSON.stringify(await measured, null, 2))
}

function kept(name) {
  const file = join(dir, `${name}.json`)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { name, rows: [] }
}

function table(ours, theirs) {
  const lines = [
    `${ours.version ?? 'Tidemill: not measured'}; ${theirs.version ?? 'Restate: not measured'}; ${cpus().length} × ${cpus()[0].model};`,
    `${seconds} s each, median of ${rounds}. Syncs are fdatasync and fsync calls for each answer, counted apart.`,
    '',
    '| work | connections | Tidemill | p50 | p99 | syncs | Restate | p50 | p99 | syncs | ratio |',
    '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
  ]
  const of = (peer, row) => peer.rows.find(r => r.work === row.work && r.connections === row.connections)
  const cells = r => r
    ? [`${r.perSecond.toFixed(0)}/s`, `${r.p50.toFixed(2)} ms`, `${r.p99.toFixed(2)} ms`, r.syncs?.toFixed(2) ?? '-']
    : ['-', '-', '-', '-']
  for (const row of ours.rows.length ? ours.rows : theirs.rows) {
    const [a, b] = [of(ours, row), of(theirs, row)]
    const ratio = a && b ? `${(a.perSecond / b.perSecond).toFixed(1)} ×` : '-'
    lines.push(`| ${[row.work, row.connections, ...cells(a), ...cells(b), ratio].join(' | ')} |`)
  }
  return lines.join('\n') + '\n'
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter(part => !(part in parts))
if (unknown.length) {
  console.error(`no such part: ${unknown.join(', ')}; the parts are: ${Object.keys(parts).join(', ')}`)
  process.exit(2)
}
mkdirSync(dir, { recursive: true })
try {
  execFileSync(process.env.OHA ?? 'oha', ['--version'], { stdio: 'ignore' })
} catch {
  console.error('`oha` is not to be found; `cargo install oha` brings it')
  process.exit(1)
}
for (const part of wanted.length ? wanted : Object.keys(parts)) {
  console.error(`== ${part}`)
  await parts[part]()
}
