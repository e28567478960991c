"What a person at the terminal is told. What is told while something takes its time goes to stderr."

(import  contextlib [contextmanager]
         sys
         rich.console [Console]
         rich.progress [BarColumn Progress TextColumn TimeRemainingColumn]
         nanogpt-hy.lab.training.launch [here])

(defn plain-console [[file None] #** how]
  "rich's Console to FILE, by default stdout, for text from anywhere: it takes none for markup."
  (Console :file file :highlight False :markup False #** how))

(defn console []
  "Where progress goes: data have stdout to themselves. One process speaks for all."
  (plain-console sys.stderr :soft-wrap (not (.isatty sys.stderr)) :quiet (not (. (here) leads))))

(defn [contextmanager] progress-bar [words total #* columns]
  "Within, a function that is told how much more of TOTAL is done; on a terminal, a bar shows it
  behind the WORDS, with COLUMNS of rich's."
  (setv out (console))
  (with [progress (Progress (TextColumn words) (BarColumn) #* columns (TimeRemainingColumn)
                            :console out :transient True :disable (not (.isatty sys.stderr)))]
    (setv task (.add-task progress "" :total total))
    (yield (fn [count] (.advance progress task count)))))

(defn clock [seconds]
  "Seconds as a person reads them  ; (clock 75.2) => '1:15'"
  f"{(// (int seconds) 60)}:{(% (int seconds) 60) :02d}")
