// The throwaway Postgres of a run, and what is in it.
'use strict'
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { run, pause } = require('./processes.js')

const ROOT = path.resolve(__dirname, '../..')
const TOOL = path.join(ROOT, 'tools/cluster')

const SETUP = `
  create role anon nologin;
  create role authenticated nologin;
  create table bench_latency (id bigint primary key, t text);
  create sequence bench_others;
  create table bench_drain (id bigint primary key, n int, t text);
  create table bench_match (id bigint primary key, n int, t text);
  create table bench_users (id bigint primary key, user_id uuid, t text);
  create table bench_end (id bigint primary key);
  grant select on bench_latency, bench_drain, bench_match to anon;
  grant select on bench_users, bench_end to authenticated;
  create schema auth;
  create function auth.uid() returns uuid language sql stable as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid
  $$;
  grant usage on schema auth to authenticated;
  alter table bench_users enable row level security;
  create policy own on bench_users for select to authenticated using (user_id = auth.uid());
  create publication supabase_realtime for table bench_latency, bench_drain, bench_match, bench_users, bench_end;
  create procedure bench_fill(transactions int, per_transaction int) language plpgsql as $$
  begin
    for i in 0 .. transactions - 1 loop
      insert into bench_drain select i::bigint * per_transaction + g, g, 'row ' || lpad(g::text, 16, '.')
        from generate_series(1, per_transaction) g;
      commit;
    end loop;
  end $$;
  create procedure bench_fill_match(transactions int, per_transaction int, stride int, places int) language plpgsql as $$
  begin
    for i in 0 .. transactions - 1 loop
      insert into bench_match select g, g * stride % places, 'twenty bytes of text'
        from generate_series(i::bigint * per_transaction + 1, (i + 1)::bigint * per_transaction) g;
      commit;
    end loop;
  end $$;
  create procedure bench_fill_users(row_count int, users int) language plpgsql as $$
  begin
    for begins in 1 .. row_count by 1000 loop
      insert into bench_users
        select g, ('00000000-0000-4000-8000-' || lpad(to_hex(g % users), 12, '0'))::uuid, 'twenty bytes of text'
          from generate_series(begins, least(begins + 999, row_count)) g;
      commit;
    end loop;
  end $$`

// Two runs at a time would measure each other, and share the cluster's folder.
function claimMachine(dir) {
  const file = path.join(dir, 'bench.pid')
  fs.mkdirSync(dir, { recursive: true })
  try {
    const pid = Number(fs.readFileSync(file, 'utf8'))
    process.kill(pid, 0)
    throw new Error(`benchmarks are running already, as process ${pid}`)
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error
  }
  fs.writeFileSync(file, `${process.pid}\n`)
  process.on('exit', () => fs.rmSync(file, { force: true }))
}

/** Starts it; dir is where the run keeps its files, env what libpq and walcast find it by. */
function startCluster() {
  const wanted = path.join(ROOT, 'run/bench')
  claimMachine(wanted)
  const home = execFileSync(TOOL, ['home', wanted], { encoding: 'utf8' }).trim()
  const cluster = { dir: fs.realpathSync(wanted), data: path.join(home, 'pg') }
  const note = path.join(cluster.dir, 'cluster') // `make clean` reads it too
  if (fs.existsSync(note)) execFileSync(TOOL, ['remove', fs.readFileSync(note, 'utf8').trim()], { stdio: 'inherit' })
  fs.writeFileSync(note, `${cluster.data}\n`)
  const answer = execFileSync(TOOL, ['start', cluster.data, 'max_wal_size=8GB', 'checkpoint_timeout=1h', 'shared_buffers=256MB', 'autovacuum=off'], { encoding: 'utf8' })
  const env = Object.fromEntries(answer.trim().split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2)))
  cluster.env = { ...env, PGHOST: env.DB_HOST, PGPORT: env.DB_PORT, PGDATABASE: env.DB_NAME, PGUSER: env.DB_USER, PGPASSWORD: env.DB_PASSWORD }
  return cluster
}

function removeCluster(cluster) {
  // in a session of its own: a second Ctrl-C must not end it half-way
  execFileSync('setsid', ['--wait', TOOL, 'remove', cluster.data], { stdio: 'inherit' })
  if (path.dirname(cluster.data) !== cluster.dir) fs.rmdirSync(path.dirname(cluster.data))
  fs.rmSync(path.join(cluster.dir, 'cluster'), { force: true })
}

const sql = async (env, text) => (await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', text], env)).trim()

/** A reader's exit can come before the server has noticed it. */
async function dropSlots(env) {
  for (const deadline = Date.now() + 10000; ;) {
    await sql(env, 'select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active and not temporary')
    const left = await sql(env, `select string_agg(slot_name, ', ') from pg_replication_slots where not temporary`)
    if (!left) return
    if (Date.now() > deadline) throw new Error(`still active: ${left}`)
    await pause(20)
  }
}

module.exports = { ROOT, SETUP, startCluster, removeCluster, sql, dropSlots }
