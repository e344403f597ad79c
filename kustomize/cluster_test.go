//go:build cluster

package kustomize

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// kubectl runs against the cluster of KUBECONFIG and returns what it printed on both outputs.
func kubectl(t *testing.T, args ...string) (out, warnings string) {
	t.Helper()
	command := exec.Command("kubectl", args...)
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(stdout), stderr.String()
}

// Every overlay applies to a real API server without an error or a warning, Pod Security's included, and the
// controllers get every pod past admission. Needs kubectl and a cluster that may be written to; nodes it
// needs none. Each environment is taken away before the next, and what was there under its names is lost.
func TestCluster(t *testing.T) {
	if os.Getenv("KUBECONFIG") == "" {
		t.Fatal("KUBECONFIG names no cluster to apply the manifests to")
	}
	for _, env := range environments(t) {
		t.Run(env, func(t *testing.T) {
			r := render(t, env)
			overlay := filepath.Join("overlays", env)
			t.Cleanup(func() { kubectl(t, "delete", "-k", overlay, "--ignore-not-found", "--timeout=120s") })
			out, warnings := kubectl(t, "apply", "-k", overlay)
			if warnings != "" {
				t.Errorf("apply warned:\n%s", warnings)
			}
			t.Logf("%d objects applied", strings.Count(out, "\n"))
			// Once more, as every deployment does: nothing may be immutable or fought over.
			if out, warnings := kubectl(t, "apply", "-k", overlay); strings.Contains(out, "created") || warnings != "" {
				t.Errorf("applied again:\n%s%s", out, warnings)
			}
			for _, c := range r.cronJobs {
				_, warnings := kubectl(t, "-n", c.Namespace, "create", "job", "--from=cronjob/"+c.Name, c.Name+"-by-hand")
				if warnings != "" {
					t.Errorf("%s: %s", c.Name, warnings)
				}
				awaitPods(t, c.Namespace, "batch.kubernetes.io/job-name="+c.Name+"-by-hand", pods(c.Spec.JobTemplate.Spec.Parallelism))
			}
			for _, j := range r.jobs {
				awaitPods(t, j.Namespace, "batch.kubernetes.io/job-name="+j.Name, pods(j.Spec.Parallelism))
			}
			for _, d := range r.deployments {
				awaitPods(t, d.Namespace, "app.kubernetes.io/name="+d.Name, pods(d.Spec.Replicas))
			}
			refused, _ := kubectl(t, "get", "events", "-A", "--field-selector=reason=FailedCreate", "-o", "jsonpath={range .items[*]}{.message}{\"\\n\"}{end}")
			if refused != "" {
				t.Errorf("pods were refused:\n%s", refused)
			}
		})
	}
}

func pods(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// awaitPods waits until as many pods exist: admitted, not necessarily running anywhere.
func awaitPods(t *testing.T, namespace, selector string, want int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, _ := kubectl(t, "-n", namespace, "get", "pods", "-l", selector, "-o", "json")
		var list corev1.PodList
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) == want {
			t.Logf("%s %s: %d pods", namespace, selector, want)
			return
		}
		if time.Now().After(deadline) {
			events, _ := kubectl(t, "-n", namespace, "get", "events")
			t.Fatalf("%s %s: %d pods, want %d\n%s", namespace, selector, len(list.Items), want, events)
		}
	}
}
