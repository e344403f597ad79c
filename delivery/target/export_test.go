package target

// Plan is the plan of a scan.
type Plan = plan

// The plans of a scan that tests can ask for.
const (
	AnyPlan   = choosing
	PlainPlan = plainPlan
	KeyedPlan = keyedPlan
)

// Force makes all walks of the scan keep to a plan.
func (s *Scan) Force(plan plan) { s.forced = plan }
