"Where the time of a training step goes: a few steps watched by torch.profiler."

(import  contextlib [nullcontext]
         dataclasses [dataclass]
         os
         pathlib [Path]
         tempfile [TemporaryDirectory]
         time [perf-counter]
         rich.table [Table]
         torch
         torch.profiler :as profiler
         nanogpt-hy.lab.files [read-bytes write-atomic]
         nanogpt-hy.lab.training.phases [PREFIX STEP]
         nanogpt-hy.lab.training.trainer [steps]
         nanogpt-hy.lab.training.workers [in-turn])

(setv WATCHED 10          ; steps
      WARM-UP 3           ; steps before them, without and then with the profiler
      SHOWN   12          ; operations
      QUIET   "6")        ; above all levels of what torch's profiler says on stderr

(defclass [(dataclass :frozen True)] Profile []
  "What was seen in so many STEPS. PHASES and OPERATIONS are #(name seconds calls), the longest
  operation first; SECONDS are all that the CPU or, if ON-GPU, the GPU took, WALL the clock's."
  #^ int steps
  #^ float wall
  #^ float seconds
  #^ bool on-gpu
  #^ list phases
  #^ list operations
  #^ object trace)                 ; Path, or None where the run has no folder

;;; Watching

(defn shares [most]
  "-> how many steps to warm up with, twice, and how many to watch, of at most MOST
  ; (shares 100) => [3 10]"
  (setv watched (max 1 (min WATCHED (- most (* 2 WARM-UP)))))
  [(min WARM-UP (// (- most watched) 2)) watched])

(defn watcher [device]
  "torch's profiler for DEVICE: its first step is to warm up, its second one counts."
  (os.environ.setdefault "KINETO_LOG_LEVEL" QUIET)
  (profiler.profile
    :activities [profiler.ProfilerActivity.CPU
                 #* (if (= device.type "cuda") [profiler.ProfilerActivity.CUDA] [])]
    :schedule (profiler.schedule :wait 0 :warmup 1 :active 1 :repeat 1)
    :acc-events True))

(defn profile-steps [run most * [told None]]
  "Train as `steps` does, at most MOST steps, and watch some of them; -> Profile, or None if the run
  was stopped before. Nothing of what is trained depends on it."
  (setv [warm watched] (shares most))
  (steps run warm :told told)
  (with [_ (if run.workers (in-turn run.workers) (nullcontext))
         prof (watcher run.device)]
    (steps run warm :told told)
    (.step prof)
    (setv before run.step  started (perf-counter))
    (steps run watched :told told)
    (setv wall (- (perf-counter) started))
    (.step prof))
  (setv run.warm [run.tokens run.seconds])       ; the watched steps were slower than others
  (when (> run.step before)
    (seen (.key-averages prof) (- run.step before) wall
          :trace (when (and run.folder run.group.leads)
                   (write-trace prof (/ run.folder "trace.json"))))))

(defn write-trace [prof path]
  "Write what PROF saw as a Chrome trace, whole or not at all; -> PATH."
  (with [folder (TemporaryDirectory)]
    (setv draft (/ (Path folder) "trace.json"))
    (.export-chrome-trace prof (str draft))
    (write-atomic path (read-bytes draft)))
  path)

;;; What it saw

(defn seen [events steps wall * [trace None]]
  "Profiler events, added up by name -> Profile. Where a GPU computed, its time counts: the CPU only
  waits for it."
  (setv here    (lfor  e events  :if (= e.device-type torch.autograd.DeviceType.CPU)  e)
        kernels (lfor  e events  :if (not (or (in e here) e.is-user-annotation))  e)
        on-gpu  (bool kernels)
        kind    (if on-gpu "device" "cpu"))
  (defn total [e] (/ (getattr e f"{kind}_time_total") 1e6))
  (defn itself [e] (/ (getattr e f"self_{kind}_time_total") 1e6))
  (setv marked  (lfor  e here  :if (.startswith e.key PREFIX)
                       #((.removeprefix e.key PREFIX) (total e) e.count))
        parts   (lfor  row marked  :if (!= (get row 0) STEP)  row)
        whole   (if on-gpu
                  (/ (sum (gfor  e kernels  e.self-device-time-total)) 1e6)
                  (sum (gfor  [name seconds _] marked  :if (= name STEP)  seconds)))
        rest    (- whole (sum (gfor  [_ seconds _] parts  seconds)))
        names   (lfor  [name _ _] parts  name)
        unnamed (if (in "forward" names) "loss and backward" "all else")
        phases  (+ parts [#(unnamed rest steps)])
        operations (lfor  e here  :if (not e.is-user-annotation)  #(e.key (itself e) e.count)))
  (.sort operations :key (fn [row] (- (get row 1))))
  (Profile steps wall whole on-gpu phases operations trace))

;;; In words

(defn timed-table [what rows seconds steps]
  "A table of #(name seconds calls) ROWS, with their shares of SECONDS, which STEPS took."
  (setv table (Table :box None :pad-edge False :padding #(0 2 0 0)))
  (.add-column table f"{what :<44}" :max-width 44)      ; the names have less where there is no room
  (for [heading ["share" "ms/step" "calls/step"]]
    (.add-column table heading :justify "right" :no-wrap True))
  (for [[name spent calls] rows]
    (.add-row table (.removeprefix name "aten::")
              f"{(/ (* 100 spent) (max seconds 1e-12)) :.1f}%"
              f"{(/ (* 1000 spent) steps) :.3f}"
              (if calls f"{(/ calls steps) :,.4g}" "")))
  table)

(defn lines-of [profile]
  "-> what a rich console prints of a PROFILE."
  (setv n profile.steps
        shown (cut profile.operations SHOWN)
        rest  (- profile.seconds (sum (gfor  [_ seconds _] shown  seconds)))
        each  (/ (* 1000 profile.wall) n))
  (+ [f"\nprofile   {n} {(if (= n 1) "step" "steps")}, watched, took {each :.3g} ms each"
      (if profile.on-gpu
        f"          the GPU computed {(/ (* 100 profile.seconds) profile.wall) :.0f}% of that time"
        "")
      (timed-table "phase" profile.phases profile.seconds n)
      ""
      (timed-table "operation, by itself"
                   [#* shown  #("Python, and all other operations" rest None)]
                   profile.seconds n)]
     (if profile.trace
       [f"\ntrace     {profile.trace}: open it in ui.perfetto.dev\n"]
       [""])))
