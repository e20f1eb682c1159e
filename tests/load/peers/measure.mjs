// One peer under load: starts it, warms it up, sends requests with `oha`, and counts its sync
// calls.
//
// A peer is a module with `works` (the names of its works) and `start(place)`, which returns the
// addresses of the works, the ids of the processes that write, the version, and `stop`.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const CONNECTIONS = [1, 32, 128]
const SYNCS_SECONDS = 3

export async function measure(peer, place, seconds, rounds) {
  const scratch = join(place.dir, 'data')
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  const running = await peer.start({ ...place, scratch })
  try {
    const rows = []
    for (const [work, url] of Object.entries(running.urls)) {
      await load(url, 32, Math.min(seconds, 3))
      for (const connections of CONNECTIONS) {
        const seen = []
        for (let round = 0; round < rounds; round++) seen.push(await load(url, connections, seconds))
        const median = seen.sort((a, b) => a.perSecond - b.perSecond)[Math.floor(rounds / 2)]
        rows.push({ work, connections, ...median, syncs: await syncs(running.pid, url, connections, place.dir) })
        console.error(JSON.stringify(rows.at(-1)))
      }
    }
    return { version: running.version, rows }
  } finally {
    await running.stop()
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function load(url, connections, seconds) {
  const args = ['--no-tui', '--output-format', 'json', '-m', 'POST', '-T', 'application/json', '-d', '{}']
  args.push('-H', 'prefer: wait=30', '-z', `${seconds}s`, '-c', String(connections), url)
  const text = await output(spawn(process.env.OHA ?? 'oha', args, { stdio: ['ignore', 'pipe', 'inherit'] }))
  const report = JSON.parse(text)
  const answered = report.statusCodeDistribution['200'] ?? 0
  // Requests that are cut off at the end of the measurement are not failures.
  const broken = Object.keys(report.errorDistribution).filter(why => !why.includes('deadline'))
  const refused = Object.keys(report.statusCodeDistribution).filter(status => status !== '200')
  if (answered === 0 || broken.length || refused.length) throw new Error(`${url}: ${broken} ${refused}; ${answered} answers`)
  const millis = percentile => report.latencyPercentiles[percentile] * 1000
  return { perSecond: answered / report.summary.total, p50: millis('p50'), p99: millis('p99'), answered }
}

// Counts the syncs per answer. This is a separate measurement, because tracing slows a process
// down.
async function syncs(pid, url, connections, dir) {
  if (spawnSync('strace', ['-V']).error) {
    console.error('strace is not to be found: syncs are not counted')
    return undefined
  }
  const file = join(dir, 'strace.txt')
  rmSync(file, { force: true })
  const tracer = spawn('strace', ['-c', '-f', '-e', 'trace=fdatasync,fsync,sync_file_range', '-o', file, '-p', String(pid)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  tracer.stderr.on('data', data => { said += data })
  const over = new Promise(done => tracer.on('exit', done))
  for (let waited = 0; !said.includes('attached') && waited < 5000; waited += 50) await sleep(50)
  if (!said.includes('attached')) {
    tracer.kill('SIGINT')
    console.error(`strace cannot attach, syncs are not counted: ${said.trim()}`)
    return undefined
  }
  const { answered } = await load(url, connections, SYNCS_SECONDS)
  tracer.kill('SIGINT')
  await over
  const calls = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const count = calls.filter(line => /\bf(data)?sync$/.test(line)).map(line => Number(line.trim().split(/\s+/)[3]))
  return count.reduce((sum, calls) => sum + calls, 0) / answered
}

async function output(child) {
  let text = ''
  child.stdout.on('data', data => { text += data })
  const status = await new Promise(done => child.on('close', done))
  if (status !== 0) throw new Error(`${child.spawnfile} ended with ${status}`)
  return text
}

// Starts a server with its output in a file, and returns a way to end it.
export function serve(command, args, options) {
  const child = spawn(command, args, options)
  const ended = new Promise(done => child.on('exit', done))
  const stop = async () => {
    child.kill('SIGTERM')
    const killer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await ended
    clearTimeout(killer)
  }
  process.on('exit', () => child.kill('SIGKILL'))
  return { child, stop, pid: child.pid }
}

// Repeats a request until its answer is good.
export async function ready(url, { child }, options) {
  for (let waited = 0; waited < 60_000; waited += 100) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    try {
      const answer = await fetch(url, options)
      if (answer.ok) return
    } catch { /* not yet */ }
    await sleep(100)
  }
  throw new Error(`${url} does not get ready`)
}
