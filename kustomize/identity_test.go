package kustomize

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// 13: env, service and version stand on workload and pods, and reach the process from there.
func checkTags(t *testing.T, r *rendered) {
	for _, w := range r.ours() {
		service := strings.TrimPrefix(w.object.GetNamespace(), "hayate-")
		for _, labels := range []map[string]string{w.object.GetLabels(), w.pod.Labels} {
			if labels["tags.datadoghq.com/env"] != r.env || labels["tags.datadoghq.com/service"] != service || labels["tags.datadoghq.com/version"] == "" {
				t.Errorf("%s: labels %v", w, labels)
			}
		}
		if w.pod.Labels["admission.datadoghq.com/enabled"] != "true" {
			t.Errorf("%s: the admission controller passes it by", w)
		}
		for name, path := range map[string]string{
			"DD_ENV": "metadata.labels['tags.datadoghq.com/env']", "DD_SERVICE": "metadata.labels['tags.datadoghq.com/service']",
			"DD_VERSION": "metadata.labels['tags.datadoghq.com/version']", "DD_ENTITY_ID": "metadata.uid",
		} {
			if v := variable(&w.pod.Spec.Containers[0], name).ValueFrom; v == nil || v.FieldRef == nil || v.FieldRef.FieldPath != path {
				t.Errorf("%s: %s does not come from %s", w, name, path)
			}
		}
	}
}

// 17: an account for each service, and no token in any pod of ours.
func checkAccounts(t *testing.T, r *rendered) {
	for _, account := range r.accounts {
		if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
			t.Errorf("account %s/%s mounts its token", account.Namespace, account.Name)
		}
	}
	for _, w := range r.ours() {
		spec := w.pod.Spec
		if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken || spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
			t.Errorf("%s mounts its token, or is told of Services in variables that could be taken for settings", w)
		}
		if want := strings.TrimPrefix(w.object.GetNamespace(), "hayate-"); spec.ServiceAccountName != want {
			t.Errorf("%s runs as %q, want %q", w, spec.ServiceAccountName, want)
		}
		if spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s shares something of the host", w)
		}
	}
}

var hashed = regexp.MustCompile(`-[a-z0-9]{10}$`)

// secretKeys are the keys that docs/operations.md tells to create, by Secret.
var secretKeys = map[string][]string{"database": {"url"}, "token-keys": {"token.keys"}, "datadog": {"api-key"}, "bucket": nil}

// 19: settings change a ConfigMap's name, so that they roll the pods; secrets are references.
func checkSecrets(t *testing.T, r *rendered) {
	for _, config := range r.configs {
		if !hashed.MatchString(config.Name) {
			t.Errorf("ConfigMap %s has no hash in its name", config.Name)
		}
		for key, value := range config.Data {
			if value == "unset" || strings.Contains(strings.ToLower(key), "password") || strings.Contains(value, "postgres://") {
				t.Errorf("ConfigMap %s: %s=%s", config.Name, key, value)
			}
		}
	}
	if strings.Contains(r.text, "kind: Secret\n") {
		t.Error("a Secret stands in the manifests")
	}
	if strings.Contains(r.text, "unset") || strings.Contains(r.text, "192.0.2.") {
		t.Error("a placeholder of the base was left")
	}
	for _, w := range append(r.ours(), workload{"DaemonSet", r.daemonSets[0], &r.daemonSets[0].Spec.Template}) {
		for _, c := range w.containers() {
			checkReferences(t, r, w, c)
		}
		for _, v := range w.pod.Spec.Volumes {
			if v.Secret != nil && (len(v.Secret.Items) != 1 || !slices.Contains(secretKeys[v.Secret.SecretName], v.Secret.Items[0].Key)) {
				t.Errorf("%s: volume %s of %+v", w, v.Name, v.Secret)
			}
		}
	}
}

func checkReferences(t *testing.T, r *rendered, w workload, c *corev1.Container) {
	t.Helper()
	for _, v := range c.Env {
		if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil {
			continue
		}
		if ref := v.ValueFrom.SecretKeyRef; !slices.Contains(secretKeys[ref.Name], ref.Key) {
			t.Errorf("%s/%s: %s comes from key %s of Secret %s, which is not documented", w, c.Name, v.Name, ref.Key, ref.Name)
		}
	}
	for _, from := range c.EnvFrom {
		switch {
		case from.SecretRef != nil:
			if from.SecretRef.Name != "bucket" || !is(from.SecretRef.Optional) {
				t.Errorf("%s/%s: variables from %+v", w, c.Name, from.SecretRef)
			}
		case from.ConfigMapRef != nil:
			if !slices.ContainsFunc(r.configs, func(m *corev1.ConfigMap) bool {
				return m.Name == from.ConfigMapRef.Name && m.Namespace == w.object.GetNamespace()
			}) {
				t.Errorf("%s/%s: there is no ConfigMap %s", w, c.Name, from.ConfigMapRef.Name)
			}
		}
	}
}

// 20: everything is of ours by label, and every selector finds its pods.
func checkLabels(t *testing.T, r *rendered) {
	for _, object := range r.all {
		labels := object.GetLabels()
		if labels["app.kubernetes.io/part-of"] != "hayate" || labels["app.kubernetes.io/name"] == "" {
			t.Errorf("%T %s: labels %v", object, object.GetName(), labels)
		}
	}
	for _, s := range r.services {
		found := false
		for _, w := range append(r.ours(), workload{"DaemonSet", r.daemonSets[0], &r.daemonSets[0].Spec.Template}) {
			found = found || w.object.GetNamespace() == s.Namespace && w.pod.Labels["app.kubernetes.io/name"] == s.Spec.Selector["app.kubernetes.io/name"]
		}
		if !found || len(s.Spec.Selector) != 1 {
			t.Errorf("service %s selects %v: nobody", s.Name, s.Spec.Selector)
		}
	}
}
