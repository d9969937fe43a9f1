// The last word of .ci/run: bun .ci/report.ts REPORT TEST_STATUS [FAILED_STEP...]
// Prints what is wrong and the line "N passed, N failed, N skipped"; exits 1 unless all is well.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { summaryLine, verdictOf } from "../test/helpers/junit-report.ts";

/** What may be absent where the tests run for everybody; anything else can be installed. */
const ACCEPTED_SKIPS = [/skipped: no such capture in /, /skipped: no such script as /];

const [reportPath = "", testStatus = "", ...failedSteps] = process.argv.slice(2);
const root = join(import.meta.dir, "..");
const files = [...new Bun.Glob("test/**/*.test.ts").scanSync(root)];
const report = existsSync(reportPath) ? readFileSync(reportPath, "utf8") : undefined;

const verdict = verdictOf(report, { files, acceptedSkips: ACCEPTED_SKIPS });
const steps = failedSteps.map((step) => `failed: ${step}`);
// A status without a failure in the report: the run itself broke, for instance behind its last
// test.
if (testStatus !== "0" && verdict.failed === 0)
  steps.push(`the tests ended with status ${testStatus}`);

for (const note of verdict.notes) console.log(`skipped: ${note}`);
for (const problem of [...verdict.problems, ...steps]) console.log(problem);
const failed = verdict.failed + steps.length;
console.log(summaryLine({ ...verdict, failed }));
process.exitCode = failed === 0 && verdict.passed > 0 ? 0 : 1;
