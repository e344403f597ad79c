package refresh

import "syscall"

// niceness of the thread: a tenth of the weight of one that serves. Lower still,
// and a busy neighbour on the machine could keep it from reaching the point at
// which the collector may stop it, and requests with it.
const niceness = 10

// lowerPriority is for the calling thread, as setpriority of "process" 0 is on
// Linux. Where it is forbidden, compiling is merely as urgent as serving.
func lowerPriority() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness) }
