package kustomize

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

var ourNamespaces = []string{"hayate-admin", "hayate-batch", "hayate-delivery"}

// 10: our namespaces admit only what `restricted` allows, and our pods ask for no more.
func checkPodSecurity(t *testing.T, r *rendered) {
	for _, name := range ourNamespaces {
		labels := named(t, r.namespaces, name).Labels
		for _, mode := range []string{"enforce", "audit", "warn"} {
			if labels["pod-security.kubernetes.io/"+mode] != "restricted" || labels["pod-security.kubernetes.io/"+mode+"-version"] == "" {
				t.Errorf("namespace %s: labels %v", name, labels)
			}
		}
	}
	for _, w := range r.ours() {
		if s := w.pod.Spec.SecurityContext; s == nil || !is(s.RunAsNonRoot) || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: security context %+v", w, s)
		}
		for _, c := range w.containers() {
			s := c.SecurityContext
			if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !is(s.ReadOnlyRootFilesystem) || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s/%s: security context %+v", w, c.Name, s)
			}
		}
		for _, v := range w.pod.Spec.Volumes {
			if v.EmptyDir == nil && v.Secret == nil && v.ConfigMap == nil {
				t.Errorf("%s: volume %s is none that a restricted pod should have", w, v.Name)
			}
			if v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
				t.Errorf("%s: volume %s has no size limit", w, v.Name)
			}
		}
	}
}

func is(b *bool) bool { return b != nil && *b }

// 11: metrics go by UDP to a Service that leads to the agent of the same node.
func checkMetrics(t *testing.T, r *rendered) {
	agent := named(t, r.services, "datadog-agent")
	if p := agent.Spec.InternalTrafficPolicy; p == nil || *p != corev1.ServiceInternalTrafficPolicyLocal || agent.Spec.Ports[0].Protocol != corev1.ProtocolUDP || agent.Spec.Ports[0].Port != 8125 {
		t.Errorf("service %+v", agent.Spec)
	}
	for _, config := range []string{"delivery", "admin", "batch"} {
		if host := named(t, r.configs, config).Data["DD_AGENT_HOST"]; host != agent.Name+"."+agent.Namespace+".svc.cluster.local" {
			t.Errorf("%s sends its metrics to %q", config, host)
		}
	}
}

// 12
func checkAgent(t *testing.T, r *rendered) {
	agent := named(t, r.daemonSets, "datadog-agent")
	if level := named(t, r.namespaces, agent.Namespace).Labels["pod-security.kubernetes.io/enforce"]; level != "privileged" || slices.Contains(ourNamespaces, agent.Namespace) {
		t.Errorf("the agent runs in %s, level %q", agent.Namespace, level)
	}
	if u := agent.Spec.UpdateStrategy.RollingUpdate; u == nil || u.MaxUnavailable.String() != "10%" {
		t.Errorf("update strategy %+v", agent.Spec.UpdateStrategy)
	}
	pod := agent.Spec.Template.Spec
	if !is(pod.AutomountServiceAccountToken) || len(pod.Tolerations) == 0 || pod.HostNetwork {
		t.Error("the agent lacks its token or tolerations, or is out of reach of NetworkPolicies")
	}
	if key := variable(&pod.Containers[0], "DD_API_KEY").ValueFrom; key == nil || key.SecretKeyRef == nil {
		t.Error("the API key comes from no Secret")
	}
	config := named(t, r.configs, "datadog-agent").Data
	if config["DD_DOGSTATSD_NON_LOCAL_TRAFFIC"] != "true" || config["DD_DOGSTATSD_SOCKET"] != "/var/run/datadog/dsd.socket" {
		t.Errorf("settings %v", config)
	}
	binding := named(t, r.roleBindings, "datadog-agent")
	if binding.RoleRef.Name != named(t, r.roles, "datadog-agent").Name || binding.Subjects[0].Name != pod.ServiceAccountName || binding.Subjects[0].Namespace != agent.Namespace {
		t.Errorf("role binding %+v", binding)
	}
	for _, rule := range r.roles[0].Rules {
		if !slices.Equal(rule.Verbs, []string{"get"}) || slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "*") {
			t.Errorf("the agent may %v %v", rule.Verbs, rule.Resources)
		}
	}
}

// 14: who talks to whom, and nobody else. Each row is one door, "from -> to port".
func TestDoors(t *testing.T) {
	t.Parallel()
	const dns = "kube-system UDP/53 TCP/53"
	for _, env := range environments(t) {
		r := render(t, env)
		var doors []string
		for _, p := range r.policies {
			doors = append(doors, doorsOf(p)...)
		}
		network := map[string]string{"dev": "10.1.32.0/20", "stg": "10.2.32.0/20", "prd": "10.3.32.0/20"}[env]
		want := []string{
			"hayate-delivery[delivery] <- anywhere TCP/http",
			"hayate-delivery[delivery] <- hayate-admin[admin] TCP/ops",
			"hayate-admin[admin] <- ingress TCP/http",
			"hayate-admin[admin] -> hayate-delivery[delivery] TCP/8081",
			"datadog[datadog-agent] <- hayate-admin,hayate-batch,hayate-delivery UDP/dogstatsd",
			"datadog[datadog-agent] -> " + dns,
			"datadog[datadog-agent] -> anywhere TCP/443 TCP/6443 TCP/10250",
		}
		for _, namespace := range ourNamespaces {
			want = append(want,
				namespace+" -> "+dns,
				namespace+" -> "+network+" TCP/5432",
				namespace+" -> 0.0.0.0/0 but 169.254.0.0/16, ::/0 but fe80::/10 TCP/443",
				namespace+" -> datadog[datadog-agent] UDP/8125",
			)
		}
		slices.Sort(doors)
		slices.Sort(want)
		if !slices.Equal(doors, want) {
			t.Errorf("%s: doors\n  %s\nwant\n  %s", env, strings.Join(doors, "\n  "), strings.Join(want, "\n  "))
		}
		for _, namespace := range r.namespaces {
			if !denies(r.policies, namespace.Name) {
				t.Errorf("%s: namespace %s is open", env, namespace.Name)
			}
		}
	}
}

// denies tells whether a policy closes a namespace both ways.
func denies(policies []*networkingv1.NetworkPolicy, namespace string) bool {
	return slices.ContainsFunc(policies, func(p *networkingv1.NetworkPolicy) bool {
		s := p.Spec
		return p.Namespace == namespace && len(s.PodSelector.MatchLabels)+len(s.PodSelector.MatchExpressions) == 0 &&
			len(s.PolicyTypes) == 2 && len(s.Ingress)+len(s.Egress) == 0
	})
}

func doorsOf(p *networkingv1.NetworkPolicy) (doors []string) {
	at := p.Namespace + bracket(p.Spec.PodSelector.MatchLabels)
	for _, rule := range p.Spec.Ingress {
		doors = append(doors, at+" <- "+peers(rule.From)+ports(rule.Ports))
	}
	for _, rule := range p.Spec.Egress {
		doors = append(doors, at+" -> "+peers(rule.To)+ports(rule.Ports))
	}
	return doors
}

func peers(all []networkingv1.NetworkPolicyPeer) string {
	if len(all) == 0 {
		return "anywhere"
	}
	var names []string
	for _, peer := range all {
		switch {
		case peer.IPBlock != nil && len(peer.IPBlock.Except) > 0:
			names = append(names, netip.MustParsePrefix(peer.IPBlock.CIDR).String()+" but "+strings.Join(peer.IPBlock.Except, " "))
		case peer.IPBlock != nil:
			names = append(names, netip.MustParsePrefix(peer.IPBlock.CIDR).String())
		default:
			name := strings.Join(slices.Collect(maps.Values(peer.NamespaceSelector.MatchLabels)), "+")
			for _, expression := range peer.NamespaceSelector.MatchExpressions {
				name += strings.Join(expression.Values, ",")
			}
			if peer.PodSelector != nil {
				name += bracket(peer.PodSelector.MatchLabels)
			}
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func bracket(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	return "[" + strings.Join(slices.Collect(maps.Values(labels)), "+") + "]"
}

func ports(all []networkingv1.NetworkPolicyPort) (text string) {
	for _, port := range all {
		text += fmt.Sprintf(" %s/%s", *port.Protocol, port.Port)
	}
	return text
}

// A door opens onto the port that somebody listens on: a policy counts a pod's ports, not its Service's.
func TestDoorsLeadSomewhere(t *testing.T) {
	t.Parallel()
	r := render(t, "prd")
	f := func(service, namespace, port string, listen string) {
		t.Helper()
		s := named(t, r.services, service)
		target := s.Spec.Ports[0].TargetPort.StrVal
		for _, w := range r.ours() {
			if w.object.GetNamespace() != namespace || w.kind != "Deployment" {
				continue
			}
			for _, p := range w.pod.Spec.Containers[0].Ports {
				if p.Name == target && fmt.Sprint(p.ContainerPort) == port && strings.HasSuffix(listen, ":"+port) {
					return
				}
			}
		}
		t.Errorf("service %s leads to %s, which nobody listens on (%s)", service, target, listen)
	}
	delivery, admin := named(t, r.configs, "delivery").Data, named(t, r.configs, "admin").Data
	f("delivery", "hayate-delivery", "8080", delivery["LISTEN"])
	f("delivery-ops", "hayate-delivery", "8081", delivery["OPS_LISTEN"])
	f("admin", "hayate-admin", "8090", admin["LISTEN"])
	ops := named(t, r.services, "delivery-ops")
	if want := fmt.Sprintf("http://%s.%s.svc.cluster.local:%d", ops.Name, ops.Namespace, ops.Spec.Ports[0].Port); admin["DELIVERY_OPS_URL"] != want {
		t.Errorf("DELIVERY_OPS_URL is %s, want %s", admin["DELIVERY_OPS_URL"], want)
	}
}
