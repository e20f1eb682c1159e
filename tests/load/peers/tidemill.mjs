// Tidemill: built with optimisation, with the guests `noop` and `ten-steps` deployed.
import { execFileSync } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ready, serve } from './measure.mjs'

const PORT = 18100
const GUESTS = { 'no-op': 'noop', 'ten steps': 'ten-steps' }
const SYNCHRONOUS = { 'content-type': 'application/json', prefer: 'wait=30' }

export function build({ root }) {
  execFileSync(join(root, '.ci/build-guests.sh'), Object.values(GUESTS), { stdio: 'inherit' })
  if (!process.env.TIDEMILL) {
    const args = ['build', '--workspace', '--bin', 'tidemill', '--locked', '--release']
    execFileSync('cargo', args, { stdio: 'inherit', cwd: root })
  }
}

export async function start({ dir, scratch, target }) {
  const binary = process.env.TIDEMILL ?? join(target, 'release/tidemill')
  const log = openSync(join(dir, 'tidemill.log'), 'w')
  const { TIDEMILL_TOKEN: _, ...env } = process.env
  const server = serve(binary, ['serve'], {
    stdio: ['ignore', log, log],
    env: { ...env, TIDEMILL_DATA: join(scratch, 'data'), TIDEMILL_ADDR: `127.0.0.1:${PORT}` },
  })
  const at = path => `http://127.0.0.1:${PORT}${path}`
  await ready(at('/readyz'), server)
  const urls = {}
  for (const [work, guest] of Object.entries(GUESTS)) {
    await put(at(`/v1/modules/${guest}/versions/1.0.0`), readFileSync(join(target, 'guests', `${guest}.wasm`)), {})
    const manifest = { module: `${guest}@1.0.0`, concurrency: 256, health: { enabled: false } }
    await put(at(`/v1/deployments/${guest}`), JSON.stringify(manifest), { 'content-type': 'application/json' })
    urls[work] = at(`/v1/deployments/${guest}/runs`)
    const run = await (await fetch(urls[work], { method: 'POST', body: '{}', headers: SYNCHRONOUS })).json()
    if (run.state !== 'succeeded') throw new Error(`a run of ${guest}: ${JSON.stringify(run)}`)
  }
  const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim().replace('tidemill', 'Tidemill')
  return { urls, pid: server.pid, version, stop: server.stop }
}

async function put(url, body, headers) {
  const answer = await fetch(url, { method: 'PUT', body, headers })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
}
