package delivery

import (
	"strings"
	"testing"
	"time"
)

// TestHostileAdRequest asks with what no honest page sends, numbered as in the
// list of hostile inputs.
func TestHostileAdRequest(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	c := memory(t, s)
	f := func(name, query string, status int, headers ...string) {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got := do(t, c, "GET", base+"/v1/ad?"+query, "", headers...)
			if took := time.Since(start); took > patience {
				t.Errorf("answered after %s", took)
			}
			if got.Status != status {
				t.Errorf("status %d, %.200s; want %d", got.Status, got.Body, status)
			}
			if strings.Contains(got.Body, "<script>alert") || len(got.Body) > 4096 {
				t.Errorf("body %.500q", got.Body)
			}
		})
	}
	f("23_long_placement", "placement="+strings.Repeat("1", 7<<10), 400)
	f("23_longer_than_a_head", "placement="+strings.Repeat("1", 10<<10), 431)
	f("24_nul", "placement=11%00", 400)
	f("24_dots", "placement=../11", 400)
	f("24_encoded_dots", "placement=%2e%2e/11", 400)
	f("24_overlong", "placement=%c0%ae11", 400)
	f("24_overlong_keyword", "placement=11&kw.a=%c0%af", 400)
	f("25_placement_1000_times", "placement=11"+strings.Repeat("&placement=11", 500), 400)
	f("25_keyword_1000_times", "placement=11"+strings.Repeat("&kw.a=b", 1000), 400)
	f("25_format_twice", "placement=11&format=js&format=html", 400)
	f("26_size", "placement=11&size=0&w=-1&h=1e9&width=NaN", 200) // sizes are the placement's, not the request's
	f("27_unknown_placement", "placement=424242", 204)
	f("27_placement_of_another_kind", "placement=31", 204) // a line item's id
	f("28_script_in_keyword", "placement=11&kw.topic=<script>alert(1)</script>", 200)
	f("28_script_in_headers", "placement=11", 200, "User-Agent: <script>alert(1)</script>", "Referer: https://x.example/<script>alert(1)</script>")
	f("28_script_in_placement", "placement=<script>alert(1)</script>", 400)
	f("29_callback", "placement=11&format=js&callback=alert(1)//", 200)
	f("29_callback_as_format", "placement=11&format=jsonp", 400)
	f("30_large_cookie", "placement=11", 431, "Cookie: a="+strings.Repeat("b", 8<<10))
	f("30_many_cookies", "placement=11", 200, "Cookie: "+strings.Repeat("a=b; ", 200))
	f("30_forged_user", "placement=11&user=admin", 200, "Cookie: uid=1; session=2")
	f("31_timestamps", "placement=11&ts=0&now=4102444800", 200, "Date: Thu, 01 Jan 1970 00:00:00 GMT", "If-Modified-Since: Fri, 01 Jan 2099 00:00:00 GMT")
}

// X-Forwarded-For counts from trusted proxies only, whatever is in it.
func TestHostileHTTP22ForwardedFor(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	address := s.listen(t)
	for _, value := range []string{
		"1.2.3.4", strings.Repeat("10.0.0.1, ", 500) + "1.1.1.1", "[::1", "2001:db8::zz", "999.1.1.1", ",,,,", "'; drop table", "fe80::1%25eth0",
	} {
		got := do(t, client(t), "GET", "http://"+address+"/v1/ad?placement=11", "", "X-Forwarded-For: "+value)
		if got.Status != 200 {
			t.Errorf("%.40q: status %d", value, got.Status)
		}
	}
}
