package telemetry

// The three kinds of metrics have types of their own, so that a gauge cannot be counted. A constant
// of one of them is a metric's full name.
type (
	Counter      string // only grows; sent as increments
	Gauge        string // the last value counts
	Distribution string // single values; Datadog computes percentiles over all senders
)

// What delivery does. Tag values are closed lists, never what a caller sent.
const (
	DeliveryRequests Counter      = "hayate.delivery.requests"
	DeliveryLatency  Distribution = "hayate.delivery.latency"
	DeliveryFills    Counter      = "hayate.delivery.fills"
	DeliveryNoFills  Counter      = "hayate.delivery.no_fills"
	DeliveryRejected Counter      = "hayate.delivery.rejected"
	DeliveryLandings Counter      = "hayate.delivery.landings"
	DeliveryLate     Counter      = "hayate.delivery.late"

	DeliveryExplainTime   Distribution = "hayate.delivery.explain_time"
	DeliveryReasonsFolded Counter      = "hayate.delivery.reasons_folded"
)

// What delivery knows.
const (
	SnapshotAge        Gauge        = "hayate.snapshot.age"
	SnapshotGeneration Gauge        = "hayate.snapshot.generation"
	SnapshotRefused    Counter      = "hayate.snapshot.refused"
	SnapshotLoadTime   Distribution = "hayate.snapshot.load_time"
	CatalogLineItems   Gauge        = "hayate.catalog.line_items"
)

// The money in a process's hands.
const (
	BankLeases       Gauge   = "hayate.bank.leases"
	BankLeased       Gauge   = "hayate.bank.leased"
	BankGrants       Counter = "hayate.bank.grants"
	BankRefusals     Counter = "hayate.bank.refusals"
	BankHeartbeatAge Gauge   = "hayate.bank.heartbeat_age"
	BankClockJumps   Counter = "hayate.bank.clock_jumps"
	BankLost         Counter = "hayate.bank.lost"
)

// The way of an event from the answer to the bucket.
const (
	EventlogCommitTime      Distribution = "hayate.eventlog.commit_time"
	EventlogBacklogSegments Gauge        = "hayate.eventlog.backlog_segments"
	EventlogBacklogBytes    Gauge        = "hayate.eventlog.backlog_bytes"
	EventlogDiskUsed        Gauge        = "hayate.eventlog.disk_used"
	EventlogShipped         Counter      = "hayate.eventlog.shipped"
	EventlogAbandoned       Counter      = "hayate.eventlog.abandoned"
)

// From the bucket to the ledger.
const (
	SettleLag         Gauge   = "hayate.settle.lag"
	SettleSegments    Counter = "hayate.settle.segments"
	SettleEvents      Counter = "hayate.settle.events"
	SettleCharged     Counter = "hayate.settle.charged"
	SettleOverage     Counter = "hayate.settle.overage"
	SettleQuarantined Counter = "hayate.settle.quarantined"
	SettleConflicts   Counter = "hayate.settle.conflicts"

	ReconcileDifferences Counter = "hayate.reconcile.differences"
	ReconcileLosses      Counter = "hayate.reconcile.losses"
	SettleHalted         Gauge   = "hayate.settle.halted"
	SettleStalled        Gauge   = "hayate.settle.stalled"
	SpoolSegments        Gauge   = "hayate.spool.segments"
)

// Jobs, console, and this package itself.
const (
	JobRuns       Counter      = "hayate.job.runs"
	JobDuration   Distribution = "hayate.job.duration"
	JobSuccessAge Gauge        = "hayate.job.success_age"
	JobLag        Gauge        = "hayate.job.lag"
	AdminRequests Counter      = "hayate.admin.requests"
	AdminLatency  Distribution = "hayate.admin.latency"
	Warnings      Counter      = "hayate.warnings"
)

// A Metric describes one of the names above: the source of the Datadog integration's metadata.
type Metric struct {
	Name        string
	Type        string // count, gauge or distribution
	Unit        string // in Datadog's words; empty where none fits
	Description string
	Tags        []string // tag names beyond env, service and version
}

// Metrics lists every metric that the programs send, in the order of the constants.
func Metrics() []Metric {
	return []Metric{
		count(DeliveryRequests, "request", "Requests answered", "endpoint", "status"),
		distribution(DeliveryLatency, "second", "Time from the first byte read to the answer written", "endpoint"),
		count(DeliveryFills, "", "Decisions with a winner", "tier"),
		count(DeliveryNoFills, "", "Decisions without a winner, by the reason given to the caller", "reason"),
		count(DeliveryRejected, "request", "Requests refused as malformed, by class", "class"),
		count(DeliveryLandings, "event", "Tracking events acknowledged", "type"),
		count(DeliveryLate, "event", "Events on own inventory that came after their hold", "type"),
		distribution(DeliveryExplainTime, "second", "Time to explain one sampled request in the background; at most 1 % of a core in all"),
		count(DeliveryReasonsFolded, "", "Losses of line items that could not be counted apart: too many line items at once"),
		gauge(SnapshotAge, "second", "Time since the snapshot in use was built"),
		gauge(SnapshotGeneration, "", "Generation of the snapshot in use"),
		count(SnapshotRefused, "", "Snapshots not taken into use, by reason", "reason"),
		distribution(SnapshotLoadTime, "second", "Time to fetch, verify and compile a snapshot"),
		gauge(CatalogLineItems, "", "Line items in the catalog in use"),
		gauge(BankLeases, "", "Open leases of this process"),
		gauge(BankLeased, "", "Unreserved money in open leases, in micros"),
		count(BankGrants, "", "Leases granted to this process"),
		count(BankRefusals, "", "Leases refused, by the bank's reason", "reason"),
		gauge(BankHeartbeatAge, "second", "Time since the bank last answered"),
		count(BankClockJumps, "", "Jumps of bank time beyond the margin"),
		count(BankLost, "", "Times the bank had given this process up as lost"),
		distribution(EventlogCommitTime, "second", "Time from an event's arrival to its fsync"),
		gauge(EventlogBacklogSegments, "file", "Sealed segments not yet in the bucket"),
		gauge(EventlogBacklogBytes, "byte", "Size of the sealed segments not yet in the bucket"),
		gauge(EventlogDiskUsed, "", "How full the event log's disk is, or its backlog of what LOG_BYTES allows: the fuller, 0 to 1"),
		count(EventlogShipped, "file", "Segments put into the bucket and verified"),
		count(EventlogAbandoned, "file", "Segments given up after a failed write or fsync"),
		gauge(SettleLag, "second", "Age of the watermark: every event before it has been settled"),
		count(SettleSegments, "file", "Segments settled"),
		count(SettleEvents, "event", "Events settled, by what became of them", "type", "outcome"),
		count(SettleCharged, "", "Money charged to advertisers, in micros"),
		count(SettleOverage, "", "Money that could not be charged and is the platform's cost, in micros"),
		count(SettleQuarantined, "file", "Segments put aside as damaged"),
		count(SettleConflicts, "event", "Records that contradict the bank or their own lease, by kind", "kind"),
		count(ReconcileDifferences, "", "Figures of the books that are not what the event log says"),
		count(ReconcileLosses, "file", "Segments of compared days that cannot be read any more"),
		gauge(SettleHalted, "", "1 while nothing is granted or settled until batch rebuild has run"),
		gauge(SettleStalled, "", "Streams that settle cannot go on with before an operator has looked"),
		gauge(SpoolSegments, "file", "Segments that wait in the database because the bucket refused them"),
		count(JobRuns, "", "Batch job runs, by outcome: ok, failed, timeout, locked", "job", "outcome"),
		distribution(JobDuration, "second", "Duration of batch job runs", "job"),
		gauge(JobSuccessAge, "second", "Time since the job's last success, or since it ought to run when there was none", "job"),
		gauge(JobLag, "second", "How far the job is behind its input", "job"),
		count(AdminRequests, "request", "Console and REST requests answered", "route", "status"),
		distribution(AdminLatency, "second", "Time to answer a console or REST request", "route"),
		count(Warnings, "", "Throttled warnings, logged or held back, by class", "class"),
	}
}

func count(name Counter, unit, description string, tags ...string) Metric {
	return Metric{string(name), "count", unit, description, tags}
}

func gauge(name Gauge, unit, description string, tags ...string) Metric {
	return Metric{string(name), "gauge", unit, description, tags}
}

func distribution(name Distribution, unit, description string, tags ...string) Metric {
	return Metric{string(name), "distribution", unit, description, tags}
}
