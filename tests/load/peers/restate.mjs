// Restate: its server from npm at a pinned version, and the service in this folder, with the Rust
// SDK.
import { execFileSync } from 'node:child_process'
import { existsSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { ready, serve } from './measure.mjs'

const VERSION = '1.7.12'
const [INGRESS, ADMIN, FABRIC, SERVICE] = [18080, 19070, 15122, 19080]

export function install({ dir }) {
  if (existsSync(join(dir, 'npm/node_modules/@restatedev/restate-server/package.json')) && version(dir) === VERSION) return
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', join(dir, 'npm')]
  execFileSync('npm', [...args, `@restatedev/restate-server@${VERSION}`], { stdio: ['ignore', 'inherit', 'inherit'] })
}

export function build({ dir, root }) {
  const manifest = join(root, 'tests/load/peers/service/Cargo.toml')
  execFileSync('cargo', ['build', '--locked', '--release', '--manifest-path', manifest], {
    stdio: 'inherit',
    env: { ...process.env, CARGO_TARGET_DIR: join(dir, 'service') },
  })
}

const required = dir => createRequire(join(dir, 'npm/node_modules/@restatedev/restate-server/'))
const version = dir => required(dir)('./package.json').version

// The package of this platform contains the server; the installed package only starts it.
function binary(dir) {
  const names = Object.keys(required(dir)('./package.json').optionalDependencies)
  const paths = names.map(name => join(dir, 'npm/node_modules', name, 'bin/restate-server'))
  const found = paths.find(path => existsSync(path))
  if (!found) throw new Error('the Restate server is not installed; `run.mjs install` brings it')
  return found
}

export async function start({ dir, scratch }) {
  const service = serve(join(dir, 'service/release/peers-service'), [`127.0.0.1:${SERVICE}`], { stdio: 'ignore' })
  const log = openSync(join(dir, 'restate.log'), 'w')
  const server = serve(binary(dir), ['--no-logo', '--node-name', 'peers', '--base-dir', scratch], {
    stdio: ['ignore', log, log],
    cwd: scratch,
    env: {
      ...process.env,
      RESTATE_LISTEN_MODE: 'tcp',
      RESTATE_BIND_IP: '127.0.0.1',
      RESTATE_BIND_PORT: String(FABRIC),
      RESTATE_INGRESS__BIND_PORT: String(INGRESS),
      RESTATE_ADMIN__BIND_PORT: String(ADMIN),
      RESTATE_DISABLE_TELEMETRY: 'true',
    },
  })
  await ready(`http://127.0.0.1:${ADMIN}/health`, server)
  await ready(`http://127.0.0.1:${ADMIN}/deployments`, server, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ uri: `http://127.0.0.1:${SERVICE}` }),
  })
  const call = handler => `http://127.0.0.1:${INGRESS}/Peer/${handler}`
  const urls = { 'no-op': call('noop'), 'ten steps': call('ten_steps') }
  const once = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
  for (const url of Object.values(urls)) await ready(url, server, once)
  return {
    urls,
    pid: server.pid,
    version: `Restate ${version(dir)}`,
    async stop() {
      await server.stop()
      await service.stop()
    },
  }
}
