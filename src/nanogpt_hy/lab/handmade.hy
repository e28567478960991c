"Weights by hand: small GPTs of the course in which every weight was written down, none learned.

  ab     the a/b chain: its exact probabilities after every context, hence the floor
  aab    aabaabaab..., never wrong
  copy   the next character is the one before the last: \"ab\" goes on as \"ababab...\"

A plan names the channels of the vector that a position carries, in groups: \"now a\" is 1 where the
character is an a, \"at 3\" at the position 3. The embedding fills the groups `now` and `at`, each
head one group, and so does feed-forward. Of each group exactly one channel is 1, the others are 0.
So at every position the channels have the same mean and the same spread, and a layer norm that
learned just these gives back what it got: it changes nothing, though nothing of it was left out.

The idea of a transformer by hand, and its task aabaabaab..., are Theia Vogel's
(https://vgel.me/posts/handmade-transformer/, 2023). Model, plan and weights here are our own."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  dataclasses [asdict dataclass]
         math [ceil log sqrt]
         pathlib [Path]
         shlex
         sys
         torch
         nanogpt-hy.config [GPTConfig nearest]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [as-model-part read-meta save-checkpoint]
         nanogpt-hy.lab.checkpoints.trained [Trained]
         nanogpt-hy.lab.data.markov [ab-chain marginals]
         nanogpt-hy.lab.data.tokenizers [tokenizer-from]
         nanogpt-hy.lab.files [as-argument make-folder]
         nanogpt-hy.ladder [build-model])

(setv SURE  30       ; a score that settles it: one of 0 gets e^-30 of its weight, 1e-13
      NEVER -40      ; the logit of what cannot be, beside one of 0: 4e-18
      MOST-CHANNELS 1024)


;;; What a plan says

(defclass [(dataclass :frozen True :kw-only True)] PlannedHead []
  "What a head does. LOOK and SHOW: {channel {tag number}}; a query and a key that have a tag in
  common meet with the product of their numbers. TELL: {channel channel}, what is copied from the
  position that is looked at, and to where."
  #^ dict look
  #^ dict show
  #^ dict tell)

(defclass [(dataclass :frozen True :kw-only True)] Plan []
  "A GPT of one block, as data."
  #^ str chars
  #^ int block-size
  #^ dict groups               ; {group members}; each member is a channel, "group member"
  #^ tuple heads               ; of PlannedHeads
  #^ dict logits               ; {channel {character logit}}
  #^ dict starts               ; {character count}: how a text begins
  (setv #^ tuple think #()))   ; [channels {channel number}]: where all of those are 1, add these

(defn channel-names [plan]
  "Plan -> names, in the order of the channels."
  (lfor  [group members] (.items plan.groups)
         member members
         f"{group} {member}"))

(defn copied [chars source target]
  "What a head tells: the group SOURCE there goes into the group TARGET here."
  (dfor  c chars  f"{source} {c}" f"{target} {c}"))

(defn look-back [steps block-size chars target]
  "A head that reads the character STEPS before into TARGET; where there is none, the first one."
  (unless (> block-size steps)
    (raise (RequestError (+ f"the block-size is {block-size} and a head looks back by {steps}: "
                            f"use {(+ steps 1)} or more"))))
  (PlannedHead
    :look (dfor  t (range block-size)  f"at {t}" {f"at {(max 0 (- t steps))}" 1})
    :show (dfor  t (range block-size)  f"at {t}" {f"at {t}" 1})
    :tell (copied chars "now" target)))


;;; The three plans

(defn copy-plan [* [chars "abc"] [block-size 10]]
  "The next character is the one before the last: one head looks back by one, and that is said."
  (setv chars (.join "" (sorted (set chars))))
  (Plan :chars chars  :block-size block-size
        :groups {"now" chars  "at" (range block-size)  "before" chars}
        :heads #((look-back 1 block-size chars "before"))
        :logits (dfor  c chars  f"before {c}" {c (- NEVER)})
        :starts (dfor  c chars  c 1)))

(defn aab-plan [* [block-size 5]]
  "aabaabaab...: after two a comes b, else a. A single a, with nothing before it, may be the first
  or the second of its pair: both characters are as likely, and either is right."
  (Plan :chars "ab"  :block-size block-size
        :groups {"now" "ab"  "at" (range block-size)  "before" "ab"}
        :heads #((look-back 1 block-size "ab" "before"))
        ;; aa: b 40, a 0.  ab, ba: b 20, a 60.
        ;; A lone a reads itself, as if aa: b 40, a 40.
        :logits {"now a"    {"b" 20}
                 "before a" {"b" 20}
                 "now b"    {"a" 60}
                 "before b" {"a" 60}
                 "at 0"     {"a" 40}}
        :starts {"a" 1}))

(defn chain-plan [chain]
  "The lines of CHAIN, of L characters each. Two heads find out where in its line a position is:

  since   the newline if there is one, else the first character there is: the line began unseen
  back    the character L before: if that is the newline, the line is full

  From these feed-forward draws its conclusion, `line`. The window is the least that always shows a
  newline once it is full, L + 1."
  (setv L     chain.line-length
        T     (+ L 1)
        chars (+ "\n" chain.chars))
  (check-channels (* T (+ 1 (len chain.chars))))        ; before anything large is worked out
  (setv unseen (lfor  c chain.chars  t (range T)  #(c t))
        places (marginals chain))                       ; (L V)
  (Plan :chars chars  :block-size T
        :groups {"now" chars  "at" (range T)  "since" chars  "back" chars
                 "line" ["goes on" "ends" #* (gfor  [c t] unseen  f"of {c} at {t}")]}
        :heads #((PlannedHead :look (dfor  c chars  f"now {c}" {"beginning" 1})
                              :show {"now \n" {"beginning" 2}  "at 0" {"beginning" 1}}
                              :tell (copied chars "now" "since"))
                 (look-back L T chars "back"))
        :think #([["since \n"]           {"line goes on" 1}]
                 [["back \n" f"at {L}"]  {"line goes on" -1  "line ends" 1}]
                 #* (gfor  [c t] unseen  [[f"since {c}" f"at {t}"] {f"line of {c} at {t}" 1}]))
        :logits {#** (rows chain)
                 "line goes on" {"\n" NEVER}
                 "line ends"    {"\n" (- NEVER)}
                 #** (dfor  [c t] unseen
                            f"line of {c} at {t}" {"\n" (log-odds (over chain places c t))})}
        :starts (dfor  [c p] (zip chain.chars chain.start)  :if p  c (max 1 (round (* 1000 p))))))

(defn rows [chain]
  "Chain -> {channel {character logit}}: what follows, if the line goes on, after each character."
  (dfor  [c row] (zip (+ "\n" chain.chars) [chain.start #* chain.transitions])
         f"now {c}" (dfor  [d p] (zip chain.chars row)  d (if p (log p) NEVER))))

(defn over [chain places char t]
  "Chain, (L V), character, place -> p: whether a line is full, of which just t + 1 characters are
  known, the first of them CHAR. Where it may stand in the line, it does so as often as PLACES say."
  (setv last (- chain.line-length t 1))                ; where it stands, if it is the line's end
  (when (<= last 0)
    (return 1.0))
  (setv column (ncut places (: (+ last 1)) (.index chain.chars char))
        total  (float (.sum column)))
  (if total (/ (float (get column -1)) total) 0.0))

(defn log-odds [p]
  "p -> the logit that gives it, beside others whose exponentials sum to 1."
  (cond
    (<= p 0) NEVER
    (>= p 1) (- NEVER)
    True (log (/ p (- 1 p)))))

(defn ab-plan [* [stay 0.5] [length 8]]
  "The chain of data/ab.txt: a goes on as a with probability STAY, b as b."
  (chain-plan (ab-chain :stay stay :length length)))

(setv PLANS {"ab" ab-plan  "aab" aab-plan  "copy" copy-plan})

(defn check-channels [count]
  "RequestError if that many channels are too many to be worth it."
  (when (> count MOST-CHANNELS)
    (raise (RequestError (+ f"that takes {count} channels, more than {MOST-CHANNELS}: "
                            "use shorter lines or fewer characters")))))

(defn find-plan [name #** options]
  "The Plan of that name."
  (unless (in name PLANS)
    (raise (RequestError f"there is no handmade model {name}: {(nearest name PLANS)}")))
  ((get PLANS name) #** options))


;;; From a plan to weights

(defn [(torch.no-grad)] wire [weight ins outs wires]
  "(O I), names, names, {in {out number}} -> None: these weights are set, the others stay 0."
  (setv column (dfor  [i name] (enumerate ins)   name i)
        row    (dfor  [i name] (enumerate outs)  name i))
  (for [[source ends] (.items wires)
        [end number] (.items ends)]
    (setv (get weight #((get row end) (get column source))) number)))

(defn tags-of [head]
  "PlannedHead -> names: the tags by which queries and keys meet, in the order they are shown."
  (list (dict.fromkeys (gfor  tags (.values head.show)  tag tags  tag))))

(defn times [number wires]
  "{in {out number}} -> the same, each number larger."
  (dfor  [source ends] (.items wires)
         source (dfor  [end x] (.items ends)  end (* number x))))

(defn config-of [plan]
  "Plan -> GPTConfig: as many channels as it takes; the head size is a square, so that its root is
  a whole number, easy to divide by. What is too many stays 0."
  (setv n-head (len plan.heads)
        least  (max (/ (len (channel-names plan)) n-head)
                    (/ (len plan.think) 4 n-head)
                    #* (gfor  head plan.heads  (max (len (tags-of head)) (len head.tell))))
        n-embd (* n-head (** (ceil (sqrt least)) 2)))
  (check-channels n-embd)
  (GPTConfig :vocab-size (len plan.chars) :block-size plan.block-size :n-layer 1
             :n-head n-head :n-embd n-embd))

(defn blank [config]
  "The course's GPT with all weights 0. Nothing is drawn."
  (with [_ (torch.device "meta")]
    (setv model (build-model "gpt" config)))
  (setv model (.to-empty model :device "cpu"))
  (for [weight (.parameters model)]
    (torch.nn.init.zeros_ weight))
  (.eval model))

(defn [(torch.no-grad)] set-norm [norm ones]
  "A layer norm that changes nothing where ONES channels are 1 and the others 0."
  (setv mean   (/ ones (len norm.weight))
        spread (sqrt (+ (- mean (* mean mean)) norm.eps)))
  (.fill_ norm.weight spread)
  (.fill_ norm.bias mean))

(defn set-head [head project number planned channels]
  "The weights of HEAD and its part of the projection: it is the head of that NUMBER, from 0."
  (setv [D C] head.query.weight.shape
        tags  (tags-of planned)
        slots (list planned.tell))                      ; where in the head's value each one travels
  ;; Scores will be divided by the root of D; then they shall be SURE.
  (wire head.query.weight channels tags (times (* SURE (sqrt D)) planned.look))
  (wire head.key.weight channels tags planned.show)
  (wire head.value.weight channels slots (dfor  c slots  c {c 1}))
  (wire (ncut project.weight : (: (* number D) None)) slots channels
        (dfor  [source target] (.items planned.tell)  source {target 1})))

(defn [(torch.no-grad)] set-think [feed-forward think channels]
  "The weights of FEED-FORWARD: one of its wide channels for each thing to THINK. Of the n channels
  that have to be 1 it takes the sum, less n - 1: that is 1 if they all are, else cut off."
  (for [[unit [conditions _]] (enumerate think)]
    (wire feed-forward.widen.weight channels (range (len think))
          (dfor  c conditions  c {unit 1}))
    (setv (get feed-forward.widen.bias unit) (- 1 (len conditions))))
  (wire feed-forward.narrow.weight (range (len think)) channels
        (dfor  [unit [_ then]] (enumerate think)  unit then)))

(defn build [plan]
  "Plan -> GPT of the course, its config: with the plan's weights."
  (setv config    (config-of plan)
        channels  (channel-names plan)
        model     (blank config)
        block     (get model.body 0 0)
        attention block.talk.layer.layer
        said      (+ 2 (len plan.heads)))               ; channels that are 1 after attention
  (wire (.t model.embed.token.weight) plan.chars channels (dfor  c plan.chars  c {f"now {c}" 1}))
  (wire (.t model.embed.position.weight) (range plan.block-size) channels
        (dfor  t (range plan.block-size)  t {f"at {t}" 1}))
  (set-norm block.talk.layer.norm 2)
  (for [[number planned] (enumerate plan.heads)]
    (set-head (get attention.heads.heads number) attention.project number planned channels))
  (set-norm block.think.layer.norm said)
  (set-think block.think.layer.layer plan.think channels)
  (set-norm (get model.body 1) (+ said (bool plan.think)))
  (wire model.lm-head.weight channels plan.chars plan.logits)
  #(model config))


;;; Models to be used like trained ones

(defn handmade [name #** options]
  "The Trained model of that name, made here and now; OPTIONS go to its plan."
  (setv plan (find-plan name #** options)
        [model config] (build plan)
        tokenizer (tokenizer-from {"kind" "char"  "chars" (sorted plan.chars)})
        meta {"stage" "gpt"  "config" (asdict config)  "tokenizer" (.state tokenizer)
              "step" 0  "train" {}  "losses" {}  "data" {"starts" plan.starts}
              "handmade" {"name" name  "channels" (channel-names plan)
                          "heads" (lfor  head plan.heads
                                         {"tags" (tags-of head)  "told" (list head.tell)})}})
  (Trained (Path f"handmade-{name}") model tokenizer config meta))

(defn check-free [path]
  "RequestError if PATH is a checkpoint that was trained: that is not to be lost."
  (when (and (.exists path) (not-in "handmade" (read-meta path)))
    (raise (RequestError f"{path} is there already, and not made by hand: use another --out"))))

(defn write-handmade [name [folder None] #** options]
  "Save the handmade model NAME as a run's folder would hold it; -> Path of the checkpoint."
  (setv made (handmade name #** options)
        path (/ (Path (or folder f"runs/handmade-{name}")) "best.safetensors"))
  (check-free path)
  (make-folder path.parent)
  (save-checkpoint path (as-model-part (.state-dict made.model)) made.meta)
  path)

(defn command [name * [out None] #** options]
  "`nanogpt-hy handmade`: write the model NAME, say where to stdout; -> exit code."
  (setv options (dfor  [k v] (.items options)  :if (is-not v None)  k v))
  (when (and options (!= name "ab") (in name PLANS))
    (raise (RequestError (+ f"--{(get (list options) 0)} is about the a/b chain: "
                            f"leave it out with {name}"))))
  (setv path (write-handmade name out #** options))
  (print path)
  (print (+ "Let it write:\n  nanogpt-hy sample --ckpt "
            (shlex.quote (as-argument path.parent)))
         :file sys.stderr)
  0)
