package delivery

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tag says what the page and its consent platform say, and takes whoever
// does not answer for a no.
func TestTagAsks(t *testing.T) {
	t.Parallel()
	const page = "&url=https%3A%2F%2Fnews.example%2Fsports%2Fa"
	want := []string{
		"all attributes: &kw.topic=tea&kw.section=a%20b&seg=vip&seg=acme%2F1&cat=IAB8&cat=IAB8-18&cattax=1" + page,
		"consent given before: " + page + "&gdpr=1&gdpr_consent=CXX.IA",
		"consent given now: " + page + "&gdpr=1&gdpr_consent=CXX",
		"still asking: " + page + "&gdpr_consent=unknown",
		"no answer: " + page + "&gdpr_consent=unknown",
		"broken: " + page + "&gdpr_consent=unknown",
		"not in Europe: " + page + "&gdpr=0",
		"GPP: " + page + "&gpp=DBABM~x&gpp_sid=2%2C6",
		"GPP not ready: " + page + "&gdpr_consent=unknown",
		"US Privacy: " + page + "&us_privacy=1YNN",
		"Global Privacy Control: " + page + "&gpc=1",
		"too long: &gdpr_consent=unknown",
		// What was not recorded is repeated; cookies are for impressions only.
		"calls: /t/i/1 include, /t/i/2 include, /t/v/1 omit, /t/i/2 include",
	}
	out, err := exec.Command("node", "testdata/tag.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(out)), "\n")); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

// What stands for "not known" in the tag is nothing that the server can read.
func TestTagsUnknownIsNo(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	if got, err := brought(t, s, "GET /v1/ad?placement=11&seg=vip&gdpr_consent=unknown\n\n"); err != nil || len(got) != 0 {
		t.Errorf("brings %v, %v", got, err)
	}
}
