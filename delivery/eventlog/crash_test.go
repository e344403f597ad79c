package eventlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crashPoint is a moment at which the power was cut, or the process killed.
type crashPoint struct {
	disk   *crashDisk
	bucket *fakeBucket
	spool  *fakeSpool
	known  *tally
	op     string
}

// crashRun logs for a while on a disk that is cut off at random operations, and
// returns what each cut left. Every other run ends while the bucket is away, so
// that cuts fall between what it spools. Time is the bubble's.
func crashRun(t *testing.T, seed uint64, early bool) []crashPoint {
	var points []crashPoint
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(seed, 1))
		d, bucket, spool, known := newCrashDisk(), newFakeBucket(), newFakeSpool(), newTally()
		var mu sync.Mutex
		d.before = func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			switch random.IntN(9) {
			case 0, 1:
				points = append(points, crashPoint{d.crash(random), bucket.clone(), spool.clone(), known.clone(), op})
			case 2:
				points = append(points, crashPoint{d.kill(), bucket.clone(), spool.clone(), known.clone(), op})
			}
			return nil
		}
		cfg := testConfig(processID(1), bucket)
		cfg.ackEarly, cfg.Spool = early, spool.put
		l := openOn(t, d, cfg)
		var group sync.WaitGroup
		for worker := range uint64(6) {
			pauses := rand.New(rand.NewPCG(seed, 100+worker))
			group.Go(func() {
				for i := range uint64(12) {
					if err := known.append(l, worker*1000+i); err != nil {
						t.Error(err)
					}
					_ = l.Append(viewable(i))
					time.Sleep(time.Duration(pauses.IntN(8000)) * time.Microsecond)
				}
			})
		}
		group.Wait()
		if seed%2 == 0 {
			bucket.setFault(func(string) fault { return refuse })
		}
		closeAll(t, l)
	})
	return points
}

// recovered starts anew, as the nth process, on what a crash left, and says what
// is wrong with the outcome: of bucket and spool together, which hold the same
// bytes wherever both have a segment. again, if set, is called before every
// operation.
func (p crashPoint) recovered(t *testing.T, n int, again func(op string) error) error {
	t.Helper()
	if again != nil {
		p.disk.before = again
	}
	cfg := testConfig(processID(n), p.bucket)
	cfg.Spool = p.spool.put
	l := openOn(t, p.disk, cfg)
	closeAll(t, l)
	if n := l.Stats().Quarantined; n > 0 {
		return fmt.Errorf("%d segments quarantined", n)
	}
	if left, _ := p.disk.List("log"); len(left) > 0 {
		return fmt.Errorf("left behind: %v", left)
	}
	objects, err := p.spool.into(p.bucket)
	if err != nil {
		return err
	}
	stream, err := streamOf(objects, processID(1))
	if err != nil && !(errors.Is(err, errNoStream) && len(p.known.acked) == 0) {
		return err
	}
	return p.known.check(stream)
}

// TestCrash cuts the power or kills the process at a thousand moments (five thousand in a proof), and
// in some of the recoveries cuts the power again.
func TestCrash(t *testing.T) {
	t.Parallel()
	points, second := 0, 0
	for seed := uint64(1); points < fullSize(1000, 5000); seed++ {
		for i, p := range crashRun(t, seed, false) {
			points++
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			var mu sync.Mutex
			var deeper []crashPoint
			if i%3 == 0 {
				p.bucket.setFault(func(string) fault { return refuse }) // the recovery's drain spools
			}
			again := func(op string) error {
				mu.Lock()
				defer mu.Unlock()
				if random.IntN(fullSize(40, 5)) == 0 {
					deeper = append(deeper, crashPoint{p.disk.crash(random), p.bucket.clone(), p.spool.clone(), p.known, op})
				}
				return nil
			}
			var err error
			synctest.Test(t, func(t *testing.T) { err = p.recovered(t, 2, again) })
			if err != nil {
				t.Fatalf("seed %d, point %d, before %s: %v", seed, i, p.op, err)
			}
			for _, q := range deeper {
				second++
				if err := q.recovered(t, 3, nil); err != nil {
					t.Fatalf("seed %d, point %d, before %s; second crash before %s: %v", seed, i, p.op, q.op, err)
				}
			}
		}
	}
	t.Logf("figure eventlog.crash_points %d points", points)
	t.Logf("figure eventlog.second_crashes %d points", second)
}

// TestCrashTestHasTeeth: a log that acknowledges before the sync is caught
// within 100 crash points, by losing what it acknowledged.
func TestCrashTestHasTeeth(t *testing.T) {
	t.Parallel()
	tried := 0
	for seed := uint64(1); tried < 100; seed++ {
		for _, p := range crashRun(t, seed, true) {
			tried++
			if err := p.recovered(t, 2, nil); err != nil {
				t.Logf("figure eventlog.mutant_caught_after %d points", tried)
				t.Log(err)
				return
			}
			if tried == 100 {
				break
			}
		}
	}
	t.Error("100 crash points, and the mutant lives")
}
