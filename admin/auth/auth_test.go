package auth

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPassword(t *testing.T) {
	t.Parallel()
	h := NewHasher(2)
	hash, err := h.Hash(t.Context(), "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hash = %q, want a PHC string with its cost", hash)
	}
	f := func(stored, password string, want bool) {
		t.Helper()
		got, err := h.Check(t.Context(), stored, password)
		if err != nil || got != want {
			t.Errorf("Check(%.12q…, %q) = %v, %v; want %v", stored, password, got, err, want)
		}
	}
	f(hash, "correct horse battery", true)
	f(hash, "correct horse batterz", false)
	f(hash, "", false)
	f("", "", false)
	f("", "correct horse battery", false)
	f(hash, strings.Repeat("x", 1<<20), false)
}

func TestPasswordLength(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	for _, password := range []string{"", "short", strings.Repeat("x", MaxPassword+1)} {
		if _, err := h.Hash(t.Context(), password); err != ErrPasswordLength {
			t.Errorf("Hash(%d bytes) = %v, want ErrPasswordLength", len(password), err)
		}
	}
	if _, err := h.Hash(t.Context(), "八文字のパスワード"); err != nil {
		t.Errorf("characters count, not bytes: %v", err)
	}
}

func TestBrokenHashesAreRefused(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	for _, stored := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", // 4 TB
		"$argon2id$v=19$m=8,t=0,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$",
	} {
		if ok, err := h.Check(t.Context(), stored, "password"); ok || err == nil {
			t.Errorf("Check(%q) = %v, %v; want an error", stored, ok, err)
		}
	}
}

func TestHasherQueueObeysContext(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	h.turns <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Check(ctx, "", "password"); err == nil {
		t.Error("Check with a cancelled context and no free turn succeeded")
	}
}

func TestLockout(t *testing.T) {
	t.Parallel()
	l, now := NewLockout(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	wait := func(key string, want time.Duration) {
		t.Helper()
		if got := l.Wait(now, key); got != want {
			t.Errorf("Wait(%s) = %v, want %v", key, got, want)
		}
	}
	for range 9 {
		l.Fail(now, "a")
	}
	wait("a", 0)
	l.Fail(now, "a")
	wait("a", time.Minute)
	wait("b", 0)
	now = now.Add(time.Minute)
	wait("a", 0)
	l.Fail(now, "a")
	wait("a", 2*time.Minute)
	for range 100 {
		l.Fail(now, "a")
	}
	wait("a", time.Hour)
	now = now.Add(time.Hour + 16*time.Minute)
	l.Fail(now, "a")
	wait("a", 0)
	for range 10 {
		l.Fail(now, "a")
	}
	l.Clear("a")
	wait("a", 0)
}

func TestLockoutStaysSmall(t *testing.T) {
	t.Parallel()
	l := &Lockout{Limit: 2, Window: time.Minute, FirstLock: time.Minute, MaxLock: time.Minute, MaxKeys: 100}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 1000 {
		l.Fail(now.Add(time.Duration(i)*time.Millisecond), netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	if len(l.keys) > 100 {
		t.Errorf("%d keys, want at most 100", len(l.keys))
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	proxies, err := ParseProxies([]string{"10.0.0.0/8", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	f := func(peer, forwarded, want string) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		if got := Address(r, proxies).String(); got != want {
			t.Errorf("Address(%s, %q) = %s, want %s", peer, forwarded, got, want)
		}
	}
	f("192.0.2.1:80", "", "192.0.2.1")
	f("192.0.2.1:80", "198.51.100.7", "192.0.2.1")
	f("10.1.2.3:80", "198.51.100.7", "198.51.100.7")
	f("10.1.2.3:80", "203.0.113.9, 198.51.100.7, 10.9.9.9", "198.51.100.7")
	f("10.1.2.3:80", "nonsense", "10.1.2.3")
	f("[::ffff:10.1.2.3]:80", "2001:db8::1", "2001:db8::1")
	f("10.1.2.3:80", strings.Repeat("10.0.0.1,", 500)+"10.0.0.1", "10.0.0.1")
	if AddressKey(netip.MustParseAddr("2001:db8::1")) != AddressKey(netip.MustParseAddr("2001:db8::ffff")) {
		t.Error("two addresses of one /64 have different keys")
	}
}
