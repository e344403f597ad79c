// Runs the SQL statements of standard input, a JSON array of texts, one after
// the other in DuckDB, with the working directory as it is. Prints a JSON array:
// the rows of each, as objects. The first statement that fails ends it.
import { DuckDBInstance } from '@duckdb/node-api';
import { readFileSync } from 'node:fs';

const statements = JSON.parse(readFileSync(0, 'utf8'));
const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
const connection = await instance.connect();
const results = [];
for (const sql of statements) {
  try {
    results.push((await connection.runAndReadAll(sql)).getRowObjectsJson());
  } catch (error) {
    console.error(`${error.message}\nin:\n${sql}`);
    process.exit(1);
  }
}
console.log(JSON.stringify(results));
