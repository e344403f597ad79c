package kustomize

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// containerOf is a container with the workload that it is part of.
type containerOf struct {
	workload  workload
	container *corev1.Container
}

func (c containerOf) service() string {
	return strings.TrimPrefix(c.workload.object.GetNamespace(), "hayate-")
}

// settings are the variables that a service's Config reads, from the tags in its source: the manifests'
// module does not import the services.
func settings(t *testing.T, service string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../"+service+"/config.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	structs := make(map[string]*ast.StructType)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
	found := make(map[string]bool)
	collect(t, structs, "Config", "", found)
	if len(found) < 5 {
		t.Fatalf("%s reads %v only", service, found)
	}
	return found
}

func collect(t *testing.T, structs map[string]*ast.StructType, name, prefix string, into map[string]bool) {
	t.Helper()
	for _, field := range structs[name].Fields.List {
		if field.Tag == nil {
			continue
		}
		text, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			t.Fatal(err)
		}
		tag := reflect.StructTag(text)
		if variable := tag.Get("env"); variable != "" {
			into[prefix+variable] = true
		}
		if _, embedded := tag.Lookup("embed"); embedded {
			collect(t, structs, field.Type.(*ast.Ident).Name, prefix+tag.Get("envprefix"), into)
		}
	}
}

// common are variables that are no service's own setting: the log's, Go's and the metrics client's.
var common = []string{"LOG_LEVEL", "GOMAXPROCS", "GOMEMLIMIT", "DD_AGENT_HOST", "DD_ENV", "DD_SERVICE", "DD_VERSION", "DD_ENTITY_ID"}

// Every variable in the manifests is one that the service reads: a misspelt one would be ignored.
func TestSettingsExist(t *testing.T) {
	t.Parallel()
	for _, env := range environments(t) {
		r := render(t, env)
		for _, w := range r.ours() {
			for _, c := range w.containers() {
				set := containerOf{w, c}
				known := settings(t, set.service())
				for _, name := range set.names(t, r) {
					if !known[name] && !slices.Contains(common, name) {
						t.Errorf("%s: %s/%s sets %s, which %s does not read", env, w, c.Name, name, set.service())
					}
				}
			}
		}
	}
}

// What each service cannot do without in a cluster, whatever its defaults.
func TestSettingsNeeded(t *testing.T) {
	t.Parallel()
	f := func(container string, want ...string) {
		t.Helper()
		for _, env := range environments(t) {
			r := render(t, env)
			for _, w := range r.ours() {
				for _, c := range w.containers() {
					if c.Name != container {
						continue
					}
					have := containerOf{w, c}.names(t, r)
					for _, name := range want {
						if !slices.Contains(have, name) {
							t.Errorf("%s: %s does not set %s", env, container, name)
						}
					}
				}
			}
		}
	}
	f("delivery", "LISTEN", "OPS_LISTEN", "DATABASE_URL", "BUCKET_URL", "STATE_DIR", "PUBLIC_URL", "ASSET_URL", "TOKEN_KEYS", "TRUSTED_PROXIES", "DRAIN")
	f("fetch", "BUCKET_URL", "STATE_DIR")
	f("admin", "LISTEN", "DATABASE_URL", "BUCKET_URL", "PUBLIC_URL", "DELIVERY_URL", "DELIVERY_OPS_URL", "ASSET_URL", "TRUSTED_PROXIES", "COOKIE_SECURE")
	f("publish", "DATABASE_URL", "BUCKET_URL", "CURRENCY")
	f("settle", "DATABASE_URL", "BUCKET_URL", "FOLLOW_FOR")
	for _, job := range []string{"lake", "rollup", "reconcile", "retain"} {
		f(job, "DATABASE_URL", "BUCKET_URL", "CURRENCY")
	}
	f("migrate", "DATABASE_URL")
}

// config is the data of the ConfigMap that a container takes its variables from.
func (c containerOf) config(t *testing.T, r *rendered) map[string]string {
	t.Helper()
	for _, from := range c.container.EnvFrom {
		if from.ConfigMapRef != nil {
			return named(t, r.configs, from.ConfigMapRef.Name).Data
		}
	}
	return nil
}

func (c containerOf) names(t *testing.T, r *rendered) []string {
	t.Helper()
	names := slices.Collect(maps.Keys(c.config(t, r)))
	for _, v := range c.container.Env {
		names = append(names, v.Name)
	}
	return names
}

// checkAccepts runs a container's program with its arguments and settings, where there is neither a
// database nor what the cluster mounts: it may complain of these, and of nothing that the manifests say.
func checkAccepts(t *testing.T, r *rendered, built map[string]string, c containerOf) {
	t.Helper()
	env := []string{"AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1", "PATH=/nonexistent"}
	config := c.config(t, r)
	for name, value := range config {
		if !strings.HasPrefix(name, "DD_") {
			env = append(env, name+"="+value)
		}
	}
	missing := "TOKEN_KEYS" // a mount of delivery's
	if c.container.Name == "fetch" {
		env = append(env, "BUCKET_URL=file:///nonexistent/bucket", "STATE_DIR="+t.TempDir()) // the last ones count
		missing = "/nonexistent"
	} else if c.container.Name != "delivery" {
		missing = "127.0.0.1"
	}
	if variable(c.container, "DATABASE_URL").ValueFrom != nil {
		env = append(env, "DATABASE_URL=postgres://nobody@127.0.0.1:1/none?connect_timeout=2")
	}
	said, code := run(t, env, built[c.service()], c.container.Args...)
	if code == 0 || !strings.Contains(said, missing) {
		t.Errorf("%s/%s: exit code %d, and it does not complain of %s:\n%s", c.workload, c.container.Name, code, missing, said)
	}
	for _, name := range append(slices.Collect(maps.Keys(config)), "unexpected argument", "unknown flag") {
		if name != missing && strings.Contains(said, name) && !strings.Contains(missing, "/") {
			t.Errorf("%s/%s does not accept %s:\n%s", c.workload, c.container.Name, name, said)
		}
	}
}
