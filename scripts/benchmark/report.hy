"What was timed, as plain data, as a table, and the machine that it was timed on."

(import  os
         pathlib [Path]
         platform
         re
         rich.console [Console]
         rich.table [Table]
         torch
         benchmark.timing [ratio spread])

(setv WIDTH 100)

(defn cpu-name []
  "What the processor calls itself, as far as the system tells."
  (setv path  (Path "/proc/cpuinfo")
        found (when (.is-file path)
                (re.search r"model name\s*:\s*(.+)" (.read-text path))))
  (if found (get found 1) (or (platform.processor) (platform.machine))))

(defn machine []
  "-> dict: what the times depend on, beside the programs."
  {"cpu" (cpu-name)  "cores" (os.cpu-count)  "threads" (torch.get-num-threads)
   "gpu" (when (torch.cuda.is-available) (torch.cuda.get-device-name))
   "torch" torch.__version__  "python" (platform.python-version)  "system" (platform.platform)})

(defn in-words [machine]
  "The same in a line."
  (+ f"{(get machine "cpu")}, {(get machine "cores")} cores, {(get machine "threads")} threads, "
     f"torch {(get machine "torch")}, Python {(get machine "python")}, "
     (or (get machine "gpu") "no GPU")))

;;; Results

(defn figures [timed contest]
  "Timed -> dict: its name, its seconds a unit, round by round, and what follows from them."
  (setv middle (get (spread timed.seconds) "median"))
  {"name" timed.side.name  "seconds" timed.seconds  "median" middle
   "first_run_seconds" timed.first-run  "pieces" timed.pieces
   "flops_utilization" (when (and contest.flops contest.peak)
                         (/ contest.flops middle contest.peak))})

(defn results-of [workload contest timed]
  "-> [dict]: a row for each of ours with each of the peers, or for ours alone where there is none."
  (setv ours  (cut timed (len contest.ours))
        peers (or (cut timed (len contest.ours) None) [None]))
  (lfor  own ours  peer peers
         {"workload" workload  "title" contest.title  "unit" contest.unit  "rate" contest.rate
          "ours" (figures own contest)
          "peer" (when peer (figures peer contest))
          "ratio" (when peer (ratio peer.seconds own.seconds))}))

;;; The table

(defn digits [x]
  "A number to three digits  ; (digits 12.345) => '12.3'"
  (if (>= x 99.95) f"{x :,.0f}" f"{x :.3g}"))

(defn shown-time [seconds]
  "Seconds in three digits  ; (shown-time 0.00123) => '1.23 ms'"
  (for [[unit size] [["s" 1] ["ms" 1e-3] ["us" 1e-6]]]
    (when (>= seconds size)
      (break)))
  f"{(digits (/ seconds size))} {unit}")

(defn shown [side row]
  "A side's time, or how many units a second if that is how the row is told."
  (cond
    (is side None) "-"
    (get row "rate") f"{(digits (/ 1 (get side "median")))} {(get row "rate")}"
    True (shown-time (get side "median"))))

(defn shown-ratio [ratio]
  "Median, and least to largest."
  (if ratio
    (+ f"{(digits (get ratio "median"))} "
       f"({(digits (get ratio "min"))}-{(digits (get ratio "max"))})")
    "-"))

(defn variant [row]
  "Which of our ways a row is about, where there are several."
  (.removeprefix (get row "ours" "name") "ours"))

(defn table [results]
  "[dict] -> rich Table."
  (setv table (Table :box None :pad-edge False :padding #(0 2 0 0)))
  (for [[name side] [["workload" "left"] ["peer" "left"] ["peer's" "right"] ["ours" "right"]
                     ["ratio" "left"]]]
    (.add-column table name :justify side))
  (for [row results]
    (setv peer (get row "peer"))
    (.add-row table (+ (get row "title") (variant row)) (if peer (get peer "name") "-")
              (shown peer row) (shown (get row "ours") row) (shown-ratio (get row "ratio"))))
  table)

(defn remarks [results]
  "-> lines: what the table has no column for: utilization of a GPU, and how long compiling took."
  (setv sides {})
  (for [row results  kind ["peer" "ours"]  :if (get row kind)]
    (setv (get sides #((get row "title") (get row kind "name"))) (get row kind)))
  (lfor  [[title name] side] (.items sides)
         :setv share (get side "flops_utilization")
         :setv first (get side "first_run_seconds")
         line [(when share
                 f"{title}: {name} uses {(* 100 share) :.1f}% of what the GPU is capable of")
               (when (and (in "compiled" name) first (not (.startswith title "run")))
                 f"{title}: {name} took {first :.1f} s for its first step, compiling included")]
         :if line
         line))

(defn show [report file]
  "Print the REPORT: the machine, the table, the remarks."
  (setv console (Console :file file :width WIDTH :highlight False)
        text    (get report "text"))
  (.print console (in-words (get report "machine")) :markup False)
  (.print console (+ f"{(get text "name")}, {(get text "characters") :,} characters; "
                     f"{(get report "rounds")} rounds; "
                     "ratio: peer / ours, median (least-largest)\n") :markup False)
  (.print console (table (get report "results")) :markup False)
  (for [line (remarks (get report "results"))]
    (.print console line :markup False)))
