// Package kustomize holds the manifests. Its tests build every overlay as kubectl does, decode what comes
// out strictly into Kubernetes' own types, and hold it against the packaging checklist and the services'
// settings.
package kustomize

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write testdata anew")

// rendered is one environment, as it would be applied.
type rendered struct {
	env  string
	text string

	all          []metav1.Object
	namespaces   []*corev1.Namespace
	accounts     []*corev1.ServiceAccount
	configs      []*corev1.ConfigMap
	services     []*corev1.Service
	deployments  []*appsv1.Deployment
	daemonSets   []*appsv1.DaemonSet
	jobs         []*batchv1.Job
	cronJobs     []*batchv1.CronJob
	policies     []*networkingv1.NetworkPolicy
	budgets      []*policyv1.PodDisruptionBudget
	priorities   []*schedulingv1.PriorityClass
	roles        []*rbacv1.ClusterRole
	roleBindings []*rbacv1.ClusterRoleBinding
}

// environments are the names of the overlays' folders.
func environments(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("overlays/*/kustomization.yaml")
	if err != nil || len(folders) != 3 {
		t.Fatalf("overlays %q (%v), want three", folders, err)
	}
	for i, folder := range folders {
		folders[i] = filepath.Base(filepath.Dir(folder))
	}
	return folders
}

func render(t *testing.T, env string) *rendered {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // kubectl's order
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), filepath.Join("overlays", env))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	r := &rendered{env: env, text: string(text)}
	for _, document := range strings.Split(r.text, "\n---\n") {
		if err := r.decode([]byte(document)); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return r
}

// decode reads one document into its type; a field that the type does not have is an error.
func (r *rendered) decode(document []byte) error {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Namespace":
		return decode(r, document, &r.namespaces)
	case "v1 ServiceAccount":
		return decode(r, document, &r.accounts)
	case "v1 ConfigMap":
		return decode(r, document, &r.configs)
	case "v1 Service":
		return decode(r, document, &r.services)
	case "apps/v1 Deployment":
		return decode(r, document, &r.deployments)
	case "apps/v1 DaemonSet":
		return decode(r, document, &r.daemonSets)
	case "batch/v1 Job":
		return decode(r, document, &r.jobs)
	case "batch/v1 CronJob":
		return decode(r, document, &r.cronJobs)
	case "networking.k8s.io/v1 NetworkPolicy":
		return decode(r, document, &r.policies)
	case "policy/v1 PodDisruptionBudget":
		return decode(r, document, &r.budgets)
	case "scheduling.k8s.io/v1 PriorityClass":
		return decode(r, document, &r.priorities)
	case "rbac.authorization.k8s.io/v1 ClusterRole":
		return decode(r, document, &r.roles)
	case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
		return decode(r, document, &r.roleBindings)
	}
	return fmt.Errorf("%s %s: no manifest of ours is of this kind; teach the test", kind.APIVersion, kind.Kind)
}

func decode[T any, P interface {
	*T
	metav1.Object
}](r *rendered, document []byte, list *[]P) error {
	object := P(new(T))
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		return err
	}
	*list = append(*list, object)
	r.all = append(r.all, object)
	return nil
}

// workload is a pod template with what makes pods of it.
type workload struct {
	kind   string
	object metav1.Object
	pod    *corev1.PodTemplateSpec
}

func (w workload) String() string {
	return fmt.Sprintf("%s %s/%s", w.kind, w.object.GetNamespace(), w.object.GetName())
}

// ours are the workloads of the three services; the agent is Datadog's.
func (r *rendered) ours() (all []workload) {
	for _, d := range r.deployments {
		all = append(all, workload{"Deployment", d, &d.Spec.Template})
	}
	for _, c := range r.cronJobs {
		all = append(all, workload{"CronJob", c, &c.Spec.JobTemplate.Spec.Template})
	}
	for _, j := range r.jobs {
		all = append(all, workload{"Job", j, &j.Spec.Template})
	}
	return all
}

// containers are a pod's, those that run first too.
func (w workload) containers() []*corev1.Container {
	var all []*corev1.Container
	for i := range w.pod.Spec.InitContainers {
		all = append(all, &w.pod.Spec.InitContainers[i])
	}
	for i := range w.pod.Spec.Containers {
		all = append(all, &w.pod.Spec.Containers[i])
	}
	return all
}

// named finds the one object of a name; the name of a generated one goes on with a hash.
func named[T metav1.Object](t *testing.T, objects []T, name string) T {
	t.Helper()
	for _, object := range objects {
		if object.GetName() == name || strings.HasPrefix(object.GetName(), name+"-") {
			return object
		}
	}
	t.Fatalf("no %s among %d objects", name, len(objects))
	panic("unreachable")
}

// What would be applied is kept, so that a change of a base shows in review as what it changes.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, env := range environments(t) {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join("testdata", env+".yaml")
			have := render(t, env).text
			if *update {
				if err := os.WriteFile(golden, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(have, "\n")); diff != "" {
				t.Errorf("what would be applied has changed (-kept +built); when that is meant, run: go -C kustomize test -run Golden -update .\n%s", diff)
			}
		})
	}
}

func TestGoldenOfEveryEnvironment(t *testing.T) {
	t.Parallel()
	goldens, err := filepath.Glob("testdata/*.yaml")
	if err != nil || !*update && len(goldens) != len(environments(t)) {
		t.Errorf("kept outputs %q (%v) for %d environments", goldens, err, len(environments(t)))
	}
}
