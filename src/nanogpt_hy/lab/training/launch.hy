"One process or many: what torchrun has told this one about it. Loads no torch.

torchrun starts the same command several times, on one machine or on many, and gives each process a
number, its rank, and the address where all can meet, in the environment."

(import  dataclasses [dataclass]
         os
         nanogpt-hy.errors [RequestError])

(setv VARIABLES ["RANK" "WORLD_SIZE" "LOCAL_RANK" "LOCAL_WORLD_SIZE"])

(defclass [(dataclass :frozen True)] Group []
  "The processes that train one model together, seen from one of them."
  (setv #^ int rank 0                  ; its number among all
        #^ int size 1                  ; how many there are
        #^ int local-rank 0            ; its number among those on its machine
        #^ int local-size 1)           ; how many there are on its machine

  (defn [property] leads [self]
    "Whether this one writes and speaks for all."
    (= self.rank 0)))

(setv ALONE (Group))

(defn launched []
  "-> Group: as torchrun started this process; ALONE without it, or where it started only one."
  (setv numbers (lfor  name VARIABLES  (os.environ.get name "")))
  (if (and (in "MASTER_ADDR" os.environ)
           (all (gfor  n numbers  (.isdecimal n)))
           (> (int (get numbers 1)) 1))
    (Group #* (map int numbers))
    ALONE))

;; With whom this process trains now, where they keep notes, and what they train.
(setv joined-now {"group" ALONE  "store" None  "run" None})

(defn here []
  "-> Group: the processes that this one trains with now."
  (get joined-now "group"))

(defn check-command [words]
  "RequestError if torchrun started a command (its WORDS) that knows nothing of other processes."
  (when (and words (not (.startswith (get words 0) "-")) (!= (get words 0) "train")
             (is-not (launched) ALONE))
    (raise (RequestError (+ f"{(get words 0)} is done by one process, not by "
                            f"{(. (launched) size)}: start it without torchrun")))))

(defn again [group words]
  "-> [str]: the command nanogpt-hy with WORDS, started for as many processes as GROUP has."
  (setv machines (// group.size group.local-size))
  (if (is group ALONE)
    ["nanogpt-hy" #* words]
    ["torchrun" #* (if (> machines 1) ["--nnodes" (str machines)] ["--standalone"])
     "--nproc-per-node" (str group.local-size) "-m" "nanogpt_hy" #* words]))

;; Who speaks. An error may be met by all processes at once, or by one and then, because it is gone,
;; by the others: whoever is first to claim the right to say so does.

(setv claims [])                       ; functions that ask for it, once there is a place to ask at

(defn voice []
  "-> str or None: as whom this process may name what went wrong, if it may."
  (setv group (launched))
  (cond
    (is group ALONE) "nanogpt-hy"
    (not (if claims ((get claims -1)) (= group.local-rank 0))) None
    group.rank f"nanogpt-hy (process {group.rank} of {group.size})"
    True "nanogpt-hy"))
