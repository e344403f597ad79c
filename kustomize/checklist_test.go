package kustomize

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// checklist is what a latency-critical service needs of its manifests, by the numbers of the project's
// packaging checklist. Autoscaling (9) and the ingress (21) are not part of these manifests yet.
var checklist = []struct {
	name  string
	check func(t *testing.T, r *rendered)
}{
	{"01 probes", checkProbes},
	{"02 end of a pod", checkEndOfPod},
	{"04 rollout", checkRollout},
	{"05 disruption budgets", checkBudgets},
	{"06 spread and priority", checkSpread},
	{"07 CPU", checkCPU},
	{"08 memory", checkMemory},
	{"10 pod security", checkPodSecurity},
	{"11 metrics without host paths", checkMetrics},
	{"12 agent", checkAgent},
	{"13 unified service tags", checkTags},
	{"15 migration", checkMigration},
	{"16 cron jobs", checkCronJobs},
	{"17 service accounts", checkAccounts},
	{"18 images", checkImages},
	{"19 settings and secrets", checkSecrets},
	{"20 labels", checkLabels},
	{"22 console and batch", checkConsoleAndBatch},
}

func TestChecklist(t *testing.T) {
	t.Parallel()
	for _, env := range environments(t) {
		r := render(t, env)
		for _, point := range checklist {
			t.Run(env+"/"+point.name, func(t *testing.T) {
				t.Parallel()
				point.check(t, r)
			})
		}
	}
}

// 1: startup and readiness ask whether it can serve, liveness only whether it lives.
func checkProbes(t *testing.T, r *rendered) {
	f := func(deployment, port, startup string) {
		t.Helper()
		c := named(t, r.deployments, deployment).Spec.Template.Spec.Containers[0]
		for _, probe := range []struct {
			name, path string
			probe      *corev1.Probe
		}{{"startup", startup, c.StartupProbe}, {"readiness", "/readyz", c.ReadinessProbe}, {"liveness", "/healthz", c.LivenessProbe}} {
			if probe.probe == nil || probe.probe.HTTPGet == nil {
				t.Errorf("%s has no %s probe over HTTP", deployment, probe.name)
				continue
			}
			if get := probe.probe.HTTPGet; get.Path != probe.path || get.Port.StrVal != port {
				t.Errorf("%s: %s probe asks %s of port %s, want %s of %s", deployment, probe.name, get.Path, get.Port.String(), probe.path, port)
			}
		}
		if patience := c.StartupProbe.PeriodSeconds * c.StartupProbe.FailureThreshold; patience < 60 {
			t.Errorf("%s gets %d s to start", deployment, patience)
		}
	}
	f("delivery", "ops", "/readyz")
	f("admin", "http", "/healthz")
}

// 2, 3: delivery drains itself, the console is kept alive while balancers notice; both within the grace.
func checkEndOfPod(t *testing.T, r *rendered) {
	delivery := named(t, r.deployments, "delivery").Spec.Template.Spec
	if delivery.Containers[0].Lifecycle != nil {
		t.Error("delivery has a lifecycle hook: its own drain would begin only after it")
	}
	drain, err := time.ParseDuration(named(t, r.configs, "delivery").Data["DRAIN"])
	if err != nil || drain < 10*time.Second {
		t.Errorf("delivery's DRAIN is %s (%v)", drain, err)
	}
	steps := drainSteps(t)
	if grace := seconds(delivery.TerminationGracePeriodSeconds); grace < drain+steps+5*time.Second || grace != time.Minute {
		t.Errorf("delivery has a grace of %s for a drain of %s and steps of %s", grace, drain, steps)
	}
	admin := named(t, r.deployments, "admin").Spec.Template.Spec
	hook := admin.Containers[0].Lifecycle
	if hook == nil || hook.PreStop == nil || hook.PreStop.Sleep == nil || hook.PreStop.Sleep.Seconds < 10 {
		t.Error("the console stops before balancers can notice")
	} else if grace := seconds(admin.TerminationGracePeriodSeconds); grace < time.Duration(hook.PreStop.Sleep.Seconds+10)*time.Second {
		t.Errorf("the console has a grace of %s", grace)
	}
}

var patience = regexp.MustCompile(`(?m)^\t\w+Patience += (\d+) \* time\.Second$`)

// drainSteps is what delivery's source gives the steps that come after the drain, together.
func drainSteps(t *testing.T) (sum time.Duration) {
	t.Helper()
	source, err := os.ReadFile("../delivery/drain.go")
	if err != nil {
		t.Fatal(err)
	}
	steps := patience.FindAllStringSubmatch(string(source), -1)
	if len(steps) != 3 {
		t.Fatalf("delivery/drain.go gives time to %d steps, want 3: requests, bank and log", len(steps))
	}
	for _, step := range steps {
		n, err := strconv.Atoi(step[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(n) * time.Second
	}
	return sum
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

// 4: no rollout takes capacity away, and one that hangs is noticed.
func checkRollout(t *testing.T, r *rendered) {
	for _, d := range r.deployments {
		s := d.Spec
		if s.Strategy.Type != "RollingUpdate" || s.Strategy.RollingUpdate.MaxUnavailable.String() != "0" || s.Strategy.RollingUpdate.MaxSurge.String() != "25%" {
			t.Errorf("%s: strategy %+v", d.Name, s.Strategy)
		}
		if s.MinReadySeconds < 10 || s.RevisionHistoryLimit == nil || s.ProgressDeadlineSeconds == nil {
			t.Errorf("%s lacks minReadySeconds, revisionHistoryLimit or progressDeadlineSeconds", d.Name)
		}
	}
}

// 5
func checkBudgets(t *testing.T, r *rendered) {
	for _, d := range r.deployments {
		at := slices.IndexFunc(r.budgets, func(b *policyv1.PodDisruptionBudget) bool {
			return b.Namespace == d.Namespace && b.Spec.Selector.MatchLabels["app.kubernetes.io/name"] == d.Spec.Template.Labels["app.kubernetes.io/name"]
		})
		if at < 0 {
			t.Errorf("%s has no disruption budget", d.Name)
			continue
		}
		if b := r.budgets[at].Spec; b.MaxUnavailable == nil || b.MaxUnavailable.String() != "1" || b.UnhealthyPodEvictionPolicy == nil || *b.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
			t.Errorf("%s: budget %+v", d.Name, b)
		}
	}
}

// 6
func checkSpread(t *testing.T, r *rendered) {
	zones := corev1.ScheduleAnyway
	if r.env == "prd" {
		zones = corev1.DoNotSchedule
	}
	for _, d := range r.deployments {
		spread := d.Spec.Template.Spec.TopologySpreadConstraints
		if len(spread) != 2 {
			t.Errorf("%s is spread by %d rules, want zone and host", d.Name, len(spread))
			continue
		}
		for i, want := range []struct {
			key    string
			policy corev1.UnsatisfiableConstraintAction
		}{{"topology.kubernetes.io/zone", zones}, {"kubernetes.io/hostname", corev1.ScheduleAnyway}} {
			got := spread[i]
			if got.TopologyKey != want.key || got.WhenUnsatisfiable != want.policy || got.MaxSkew != 1 || !slices.Equal(got.MatchLabelKeys, []string{"pod-template-hash"}) {
				t.Errorf("%s: spread %+v, want %s by %s", d.Name, got, want.policy, want.key)
			}
			if name := got.LabelSelector.MatchLabels["app.kubernetes.io/name"]; name != d.Spec.Template.Labels["app.kubernetes.io/name"] {
				t.Errorf("%s is spread against %q", d.Name, name)
			}
		}
	}
	if named(t, r.priorities, "hayate-serving").Value <= named(t, r.priorities, "hayate-batch").Value {
		t.Error("jobs go before visitors")
	}
	if class := named(t, r.deployments, "delivery").Spec.Template.Spec.PriorityClassName; class != "hayate-serving" {
		t.Errorf("delivery's priority is %q", class)
	}
	if d := named(t, r.services, "delivery").Spec.TrafficDistribution; d == nil || *d != "PreferClose" {
		t.Error("visitors cross zones without need")
	}
}

// 7: what is needed is requested; no limit throttles, and Go is told how many processors it has.
func checkCPU(t *testing.T, r *rendered) {
	for _, w := range r.ours() {
		for _, c := range w.containers() {
			if c.Resources.Requests.Cpu().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
				t.Errorf("%s/%s: CPU request %s, limit %s", w, c.Name, c.Resources.Requests.Cpu(), c.Resources.Limits.Cpu())
			}
			if source := variable(c, "GOMAXPROCS").ValueFrom; source == nil || source.ResourceFieldRef == nil || source.ResourceFieldRef.Resource != "requests.cpu" {
				t.Errorf("%s/%s: GOMAXPROCS does not follow the CPU request", w, c.Name)
			}
		}
	}
}

// 8: memory is what was asked for, and Go's soft limit leaves room for what Go does not count.
func checkMemory(t *testing.T, r *rendered) {
	for _, w := range r.ours() {
		for _, c := range w.containers() {
			limit := c.Resources.Limits.Memory()
			if limit.IsZero() || !limit.Equal(*c.Resources.Requests.Memory()) {
				t.Errorf("%s/%s: memory request %s, limit %s", w, c.Name, c.Resources.Requests.Memory(), limit)
				continue
			}
			var mebibytes int64
			if _, err := fmt.Sscanf(variable(c, "GOMEMLIMIT").Value, "%dMiB", &mebibytes); err != nil {
				t.Errorf("%s/%s: GOMEMLIMIT %q: %v", w, c.Name, variable(c, "GOMEMLIMIT").Value, err)
				continue
			}
			if share := float64(mebibytes<<20) / float64(limit.Value()); share < 0.85 || share > 0.90 {
				t.Errorf("%s/%s: GOMEMLIMIT is %.2f of the memory, want 0.85 to 0.90", w, c.Name, share)
			}
		}
	}
}

// variable finds an environment variable; the zero one when it is not set.
func variable(c *corev1.Container, name string) (found corev1.EnvVar) {
	for _, v := range c.Env {
		if v.Name == name {
			found = v
		}
	}
	return found
}

// 16
func checkCronJobs(t *testing.T, r *rendered) {
	for _, c := range r.cronJobs {
		s := c.Spec
		if _, err := cron.ParseStandard(s.Schedule); err != nil || strings.Contains(s.Schedule, "TZ=") {
			t.Errorf("%s: schedule %q: %v", c.Name, s.Schedule, err)
		}
		if s.TimeZone == nil || *s.TimeZone != "Etc/UTC" || s.ConcurrencyPolicy != batchv1.ForbidConcurrent || s.StartingDeadlineSeconds == nil || len(c.Name) > 52 {
			t.Errorf("%s: %+v", c.Name, s)
		}
		if s.SuccessfulJobsHistoryLimit == nil || s.FailedJobsHistoryLimit == nil || s.JobTemplate.Spec.TTLSecondsAfterFinished == nil {
			t.Errorf("%s keeps its history for ever", c.Name)
		}
		checkJob(t, c.Name, s.JobTemplate.Spec)
	}
	for _, j := range r.jobs {
		checkJob(t, j.Name, j.Spec)
	}
	publish, settle := named(t, r.cronJobs, "publish"), named(t, r.cronJobs, "settle")
	if publish.Spec.Schedule != "* * * * *" || settle.Spec.Schedule != "*/10 * * * *" {
		t.Errorf("publish at %q, settle at %q", publish.Spec.Schedule, settle.Spec.Schedule)
	}
	turn, err := time.ParseDuration(named(t, r.configs, "batch").Data["FOLLOW_FOR"])
	if err != nil || turn != 10*time.Minute-15*time.Second {
		t.Errorf("settle follows for %s (%v), want 15 s less than its slot", turn, err)
	}
	checkSchedules(t, r)
	job := settle.Spec.JobTemplate.Spec
	if *job.Parallelism != 2 || *job.Completions != 2 {
		t.Errorf("settle has %d pods for %d ends, want 2: one works, one waits", *job.Parallelism, *job.Completions)
	}
	if deadline := seconds(job.ActiveDeadlineSeconds); deadline < turn || deadline > 15*time.Minute {
		t.Errorf("settle's turn of %s is cut at %s", turn, deadline)
	}
}

var (
	jobOfBatch = regexp.MustCompile(`\{Name: "([a-z]+)", Timeout: ([^,]+), (Schedule: "([^"]+)"|Follow)`)
	everyOf    = map[string]string{"publish": "PUBLISH_EVERY", "lake": "LAKE_EVERY", "rollup": "ROLLUP_EVERY"}
)

// checkSchedules compares the CronJobs with the jobs that batch has, read from its
// source: none is forgotten, each starts as often as batch expects it to, or its
// misses would not be noticed, and none is cut off before its own time is over.
func checkSchedules(t *testing.T, r *rendered) {
	t.Helper()
	source, err := os.ReadFile("../batch/batch.go")
	if err != nil {
		t.Fatal(err)
	}
	jobs := jobOfBatch.FindAllStringSubmatch(string(source), -1)
	if len(jobs) < 6 || len(jobs) != len(r.cronJobs) {
		t.Errorf("batch has %d jobs, the manifests %d CronJobs", len(jobs), len(r.cronJobs))
	}
	for _, job := range jobs {
		name, schedule := job[1], job[4]
		c := named(t, r.cronJobs, name)
		if args := c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Args; !slices.Equal(args, []string{"run", name}) {
			t.Errorf("%s runs %q", name, args)
		}
		if strings.HasPrefix(schedule, "@every ") { // then a setting says how often
			cluster, err := cron.ParseStandard(c.Spec.Schedule)
			if err != nil {
				t.Fatal(err)
			}
			first := cluster.Next(time.Now())
			want := cluster.Next(first).Sub(first)
			if got, err := time.ParseDuration(named(t, r.configs, "batch").Data[everyOf[name]]); err != nil || got != want {
				t.Errorf("%s is %s, its CronJob starts every %s (%v)", everyOf[name], got, want, err)
			}
		} else if schedule != "" && schedule != c.Spec.Schedule {
			t.Errorf("%s starts at %q, batch expects %q", name, c.Spec.Schedule, schedule)
		}
		hours := map[string]time.Duration{"time.Hour": time.Hour, "6 * time.Hour": 6 * time.Hour}[job[2]]
		if deadline := seconds(c.Spec.JobTemplate.Spec.ActiveDeadlineSeconds); deadline <= hours {
			t.Errorf("%s may take %s and is cut at %s", name, hours, deadline)
		}
	}
}

func checkJob(t *testing.T, name string, s batchv1.JobSpec) {
	t.Helper()
	if s.BackoffLimit == nil || s.ActiveDeadlineSeconds == nil || s.PodFailurePolicy == nil || s.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("%s lacks backoffLimit, activeDeadlineSeconds, podFailurePolicy or restartPolicy Never", name)
	}
}

var (
	versionTag = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$`)
	digest     = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
)

// 18: images by tag or digest, never latest; a tag is a DNS label, since a Job is named by it.
func checkImages(t *testing.T, r *rendered) {
	pods := r.ours()
	pods = append(pods, workload{"DaemonSet", r.daemonSets[0], &r.daemonSets[0].Spec.Template})
	for _, w := range pods {
		for _, c := range w.containers() {
			image := digest.ReplaceAllString(c.Image, "")
			_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
			if !tagged && image == c.Image || tag == "latest" || tag == "unset" {
				t.Errorf("%s/%s: image %s is not pinned", w, c.Name, c.Image)
			}
			if version := w.pod.Labels["tags.datadoghq.com/version"]; version != "" && tagged && tag != version {
				t.Errorf("%s/%s: image %s has the version label %q", w, c.Name, c.Image, version)
			}
			if c.ImagePullPolicy != corev1.PullIfNotPresent {
				t.Errorf("%s/%s: image pull policy %q", w, c.Name, c.ImagePullPolicy)
			}
		}
	}
	if version := r.jobs[0].Labels["tags.datadoghq.com/version"]; !versionTag.MatchString(version) {
		t.Errorf("version %q is no DNS label", version)
	}
}

// 15: one Job migrates, under a name of its own for each version, and waits for nothing that a Job cannot have.
func checkMigration(t *testing.T, r *rendered) {
	if len(r.jobs) != 1 {
		t.Fatalf("%d Jobs, want the migration alone", len(r.jobs))
	}
	job := r.jobs[0]
	if want := "migrate-" + job.Labels["tags.datadoghq.com/version"]; job.Name != want || len(job.Name) > 63 {
		t.Errorf("the migration is named %s, want %s", job.Name, want)
	}
	if len(job.Spec.Template.Spec.Containers[0].EnvFrom) != 0 {
		t.Error("the migration reads a ConfigMap: a Job cannot change when that one's hash does")
	}
	migrating := 0
	for _, w := range r.ours() {
		for _, c := range w.containers() {
			if slices.Contains(c.Args, "migrate") {
				migrating++
			}
		}
	}
	if migrating != 1 {
		t.Errorf("%d containers migrate, want 1", migrating)
	}
}

// 22
func checkConsoleAndBatch(t *testing.T, r *rendered) {
	admin := named(t, r.deployments, "admin")
	if want := int32(2); *admin.Spec.Replicas != want && r.env != "dev" {
		t.Errorf("%d consoles, want %d", *admin.Spec.Replicas, want)
	}
	if named(t, r.configs, "admin").Data["COOKIE_SECURE"] != "true" {
		t.Error("the session cookie travels over plain HTTP")
	}
	for _, w := range r.ours() {
		if w.object.GetNamespace() == "hayate-batch" && w.pod.Spec.PriorityClassName != "hayate-batch" {
			t.Errorf("%s has the priority %q", w, w.pod.Spec.PriorityClassName)
		}
	}
	delivery := named(t, r.deployments, "delivery").Spec.Template.Spec
	state := delivery.Volumes[slices.IndexFunc(delivery.Volumes, func(v corev1.Volume) bool { return v.Name == "state" })]
	size := state.EmptyDir.SizeLimit
	disk := delivery.Containers[0].Resources
	if size == nil || size.Cmp(*disk.Requests.StorageEphemeral()) != 0 || size.Cmp(*disk.Limits.StorageEphemeral()) >= 0 || size.Value() > math.MaxInt64/2 {
		t.Errorf("the event log may take %s, the pod asks for %s and is evicted at %s", size, disk.Requests.StorageEphemeral(), disk.Limits.StorageEphemeral())
	}
}
