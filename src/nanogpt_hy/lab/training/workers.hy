"A training step on the cores of a CPU: each has rows of the batch to itself.

torch divides every single operation among the cores, and they meet after each; small ones are done
before a second core is awake. Here each of two threads takes half of the batch through the whole
model and back, by the gradient as backprop.hy writes it, and they meet once. What one thread has in
hand is cut into parts that its cache can hold."

(import  concurrent.futures [ThreadPoolExecutor]
         contextlib [contextmanager]
         functools [partial]
         torch
         nanogpt-hy.backprop [add-gradient]
         nanogpt-hy.lab.training.compiled-gradient [CompiledGradient shadow]
         nanogpt-hy.lab.training.compiling [compile-lazily]
         nanogpt-hy.lab.training.device [NARROW threads-for]
         nanogpt-hy.lab.training.phases [in-phase]
         nanogpt-hy.recording [can-record Recorded])

(setv MOST-WORKERS 2                   ; Python lets only one at a time decide what comes next
      PART (** 2 22))                  ; bytes of the widest layer that a cache holds well

(defn is-recorded [config]
  "Whether a step of a model of CONFIG is recorded: one without chance in it."
  (and (not config.dropout) (can-record)))

(defclass Workers []
  "They find the gradient of a FastGPT of CONFIG, whose weights the flat OPTIMIZER moves. In a step,
  worker i's dropout draws from (CHANCE i), a generator."

  (defn __init__ [self model config optimizer chance * [compiled False] [dtype torch.float32]]
    (setv self.chance       (when config.dropout chance)
          narrow            (<= config.n-embd NARROW)
          recorded          (is-recorded config)
          apart             (and compiled narrow (not config.dropout))   ; as two threads can run,
          alone             (and compiled (not apart))                   ; or one at a time
          threads           (cond
                              ;; Compiled code wakes the other threads less often, so all serve it.
                              alone (torch.get-num-threads)
                              (and narrow (or apart recorded))
                                (min MOST-WORKERS (torch.get-num-threads))
                              True (threads-for config))
          count             (if alone 1 (min MOST-WORKERS threads))
          ;; What else is done in a step keeps to one share of the threads too: OpenMP's go on
          ;; spinning for a while when there is nothing to do, and that in a worker's place.
          self.threads-each (// threads count)
          self.threads      (* count self.threads-each)
          shadows           (lfor  _ (range (- count 1))  (shadow model optimizer.weights))
          self.models       [model #* (lfor  [m _] shadows  m)]
          self.gradients    [optimizer.gradients #* (lfor  [_ gradient] shadows  gradient)]
          self.rows         (max 1 (// PART (* 4 config.n-embd config.block-size dtype.itemsize)))
          own-gradient      (partial add-gradient :dtype dtype)
          otherwise         (if recorded (Recorded own-gradient) own-gradient)
          self.add-gradient (cond alone (compile-lazily own-gradient)
                                  apart (CompiledGradient own-gradient otherwise optimizer
                                          self.models self.gradients)
                                  True  otherwise)
          self.in-turn      (= count 1)
          self.met          (set)                ; sizes and shares of batches
          self.pool         (when shadows
                              (ThreadPoolExecutor (len shadows)
                                                  :initializer torch.set-num-threads
                                                  :initargs [self.threads-each]))))

  (defn chances [self]
    "-> what each worker's dropout draws from in a step, all of its batches after each other."
    (lfor  i (range (len self.models))  (when self.chance (self.chance i))))

  (defn own-part [self i x y share chance]
    "Worker number I adds its rows' part of the gradient to its model's; -> their part of the loss."
    (setv loss 0)
    (for [[x-part y-part] (zip (.split x self.rows) (.split y self.rows))]
      (setv part (* share (/ (len x-part) (len x)))
            loss (+ loss (self.add-gradient (get self.models i) x-part y-part part
                                            :chance chance))))
    loss)

  (defn [(in-phase "forward and backward")] add-gradients [self x y share chances]
    "(B T) (B T) -> (): as the course's add-gradient; CHANCES are those of this step."
    (setv count   (len self.models)
          xs      (.chunk x count)
          shares  (lfor  own xs  (* share (/ (len own) (len x))))
          [mine #* others] (zip (range count) xs (.chunk y count) shares chances)
          [whole #* parts] self.gradients
          ;; What is recorded or compiled is so at its first call: here, where Ctrl-C can end it.
          in-turn (or self.in-turn (not-in #(x.shape share) self.met))
          ;; -> a function that gives its part of the loss
          begin   (if in-turn partial (fn [#* call] (. (self.pool.submit #* call) result))))
    (for [part parts]
      (.zero- part))                     ; here, for an interrupted step may have left something
    (setv begun (lfor  its others  (begin self.own-part #* its))
          loss  (self.own-part #* mine))               ; this thread is a worker too
    (for [its-loss begun]
      (setv loss (+ loss (its-loss))))
    (for [part parts]
      (.add- whole part))
    (.add self.met #(x.shape share))
    loss))

(defn [contextmanager] in-turn [workers]
  "Within, WORKERS work one after the other, with the same result: a profiler sees but one thread."
  (setv before workers.in-turn
        workers.in-turn True)
  (try
    (yield)
    (finally (setv workers.in-turn before))))

(defn train-step [workers optimizer #* batches]
  "((B T) (B T))... -> (): the course's train-step, by WORKERS."
  (.zero-grad optimizer)
  (setv share   (/ 1 (len batches))
        chances (.chances workers)
        loss    (sum (lfor  [x y] batches  (.add-gradients workers x y share chances))))
  (.step optimizer)
  loss)
